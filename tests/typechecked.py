"""The run-time type checker of the tests: pyproject names it in `--jaxtyping-packages`."""

import re

import jaxtyping
from beartype import BeartypeConf, beartype

# Like mypy, an int will do where a float is asked for (PEP 484); beartype alone would refuse it.
check = beartype(conf=BeartypeConf(is_pep484_tower=True))

_jaxtyped = jaxtyping.jaxtyped


def _jaxtyped_where_arrays_are(*, typechecker):
    """Check shapes, and leave what has none to mypy: wrapping every call doubles the time of the audits' tests.

    The plug-in of pytest offers no such choice, so this stands in for the decorator that it puts on everything.
    """

    def decorate(of):
        said = str(getattr(of, "__annotations__", {}))
        return _jaxtyped(of, typechecker=typechecker) if re.search(r"\b(ndarray|Tensor|Values)\b", said) else of

    return decorate


jaxtyping.jaxtyped = _jaxtyped_where_arrays_are
