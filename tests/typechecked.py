"""The run-time type checker of the tests: pyproject names it in `--jaxtyping-packages`."""

import inspect
from typing import get_args, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype

# Like mypy, an int will do where a float is asked for (PEP 484); beartype alone would refuse it.
check = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError))

_jaxtyped = jaxtyping.jaxtyped


def _jaxtyped_where_shapes_are(*, typechecker):
    """Check all types, and follow the names of dimensions only where there are some.

    To follow them, each call is bound to its signature and checked twice, which makes the tests of the audits take
    twice their time. The plug-in of pytest leaves no choice, so this stands in for the decorator that it puts on all.
    """

    def decorate(of):
        return _jaxtyped(of, typechecker=typechecker) if _may_have_shapes(of) else typechecker(of)

    return decorate


def _may_have_shapes(of) -> bool:
    if not inspect.isfunction(of):
        return True
    try:
        return any(map(_is_shaped, get_type_hints(of, include_extras=True).values()))
    except (NameError, TypeError, AttributeError):  # a name that is imported for type checkers alone
        return True


def _is_shaped(hint) -> bool:
    return isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray) or any(map(_is_shaped, get_args(hint)))


jaxtyping.jaxtyped = _jaxtyped_where_shapes_are
