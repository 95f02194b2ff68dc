"""Values as JSON holds them: no NaN, no time stamps, no bytes."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from datetime import date, time
from typing import Any

__all__ = ["json_ready", "plain_value"]


def json_ready(value: Any) -> Any:
    """Return what stands in JSON for a value it has no word for."""
    if isinstance(value, (date, time)):  # a datetime is a date
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def plain_value(value: Any) -> Any:
    """Return a value that any JSON writer and any encoding can hold.

    >>> plain_value([float("nan"), float("-inf"), b"ab"])
    [None, '-inf', 'YWI=']
    """
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, Mapping):
        return {str(plain_value(k)): plain_value(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(v) for v in value]
    return json_ready(value)
