"""Durations of settings and flags: `500ms`, `15s`, `5m`, `1h`."""

import re
from datetime import timedelta
from typing import Any, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Duration(str):
    """A duration as its text, such as `500ms`, `15s`, `5m` or `1h`; raises ValueError for a text of another form."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if _DURATION.fullmatch(text.strip()) is None:
            raise ValueError(f"{text!r} is not a duration such as 500ms, 15s, 5m or 1h")
        return super().__new__(cls, text)

    @property
    def seconds(self) -> float:
        """The duration in seconds."""
        number, unit = _DURATION.fullmatch(self.strip()).groups()  # type: ignore[union-attr]  # the form is checked
        return int(number) * _UNIT_SECONDS[unit]

    @property
    def span(self) -> timedelta:
        """The duration as a timedelta."""
        return timedelta(seconds=self.seconds)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema())


def written(span: timedelta) -> str:
    """Return a duration as the text that a setting would have, such as `15s`.

    The unit is the largest one, at most hours, in which the number is whole.
    """
    seconds = span.total_seconds()
    unit = next((unit for unit in ("h", "m", "s") if seconds % _UNIT_SECONDS[unit] == 0), "ms")
    return f"{seconds / _UNIT_SECONDS[unit]:.0f}{unit}"
