"""The run-time type checker of the tests: pyproject names it in `--jaxtyping-packages`."""

from beartype import BeartypeConf, beartype

# Like mypy, an int will do where a float is asked for (PEP 484); beartype alone would refuse it.
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
