"""Conversion between the product's two forms of a time: UTC datetimes, and milliseconds since the epoch."""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

LAST_MS: Final = 253_402_300_799_000  # the last second of year 9999


@lru_cache(maxsize=65536)
def instant(epoch_ms: int) -> datetime:
    """Return the UTC datetime of a number of milliseconds since the epoch.

    The result is cached, because the records of a batch often share their time. A producer may give a record any 64-bit
    number as its time. A time outside the range of datetimes becomes 1970 or the end of the year 9999.
    """
    return datetime.fromtimestamp(min(max(epoch_ms, 0), LAST_MS) / 1000, UTC)


def now_ms() -> int:
    """Return the current time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def to_epoch_ms(moment: datetime) -> int:
    """Return a datetime (with a time zone) as milliseconds since the epoch, rounded to the nearest."""
    return round(moment.timestamp() * 1000)


def utc_text(moment: datetime) -> str:
    """Return a UTC datetime as RFC 3339 text that ends with Z. The text has microseconds if they are not zero."""
    return f"{moment.replace(tzinfo=None).isoformat()}Z"
