"""A month of events: its bounds, its name, and the text that names it."""

import re
from datetime import UTC, date, datetime
from typing import NamedTuple

from schemas.errors import InvalidInput
from sinks.postgres.schema.monthly_partitions import month

_TEXT = re.compile(r"(\d{4})-(\d{2})")


class Month(NamedTuple):
    """A month in UTC; `first` is its first day."""

    first: date

    @property
    def begin(self) -> datetime:
        return datetime(self.first.year, self.first.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        after = month(self.first, 1)
        return datetime(after.year, after.month, 1, tzinfo=UTC)

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"


def asked_month(text: str, today: date) -> Month:
    """Return the month that the text names, such as 2026-05, or `last` for the month before this one; raises InvalidInput."""
    if text == "last":
        return Month(month(today, -1))
    found = _TEXT.fullmatch(text)
    if found is None or not 1 <= int(found[2]) <= 12 or int(found[1]) < 1:
        raise InvalidInput(f"MONTH: {text!r} is no month; give one such as 2026-05, or last")
    return Month(date(int(found[1]), int(found[2]), 1))
