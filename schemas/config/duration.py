"""Durations of settings and flags: `500ms`, `15s`, `5m`, `1h`."""

import re
from datetime import timedelta

_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration_seconds(text: str) -> float:
    """Return the seconds of a duration such as `500ms`, `15s`, `5m` or `1h`.

    Raises ValueError with the accepted form.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 500ms, 15s, 5m or 1h")
    return int(match[1]) * _UNIT_SECONDS[match[2]]


def written(span: timedelta) -> str:
    """Return a duration as the text that a setting would have, such as `15s`.

    The unit is the largest one, at most hours, in which the number is whole.
    """
    seconds = span.total_seconds()
    unit = next((unit for unit in ("h", "m", "s") if seconds % _UNIT_SECONDS[unit] == 0), "ms")
    return f"{seconds / _UNIT_SECONDS[unit]:.0f}{unit}"
