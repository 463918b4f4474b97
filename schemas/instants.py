"""Times in the two forms the product uses: aware UTC datetimes, and integer milliseconds since the epoch."""

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=65536)
def instant(epoch_ms: int) -> datetime:
    """The UTC datetime of milliseconds since the epoch; records of one broker batch share it."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)


def to_epoch_ms(moment: datetime) -> int:
    """Milliseconds since the epoch of an aware datetime, rounded to the nearest."""
    return round(moment.timestamp() * 1000)
