"""How long to wait before the next try: growing, spread at random, never shorter than the other side asks for."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

FIRST_SECONDS: Final = 0.25
LONGEST_SECONDS: Final = 30.0
LONGEST_ASKED_SECONDS: Final = 3600.0


def pause(failures: int, asked: float | None, chance: Callable[[], float] = random.random) -> float:
    """Seconds before the next try after so many failures in a row; `asked` is what Retry-After said."""
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures, 16))
    spread = longest * (0.5 + chance() / 2)
    # A little more than was asked for, so that clients that were turned away together don't come back together.
    return spread if asked is None else max(spread, asked * (1 + chance() / 10))


def asked_seconds(retry_after: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or as a date; None if it is absent or is neither."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_ASKED_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - (now or datetime.now(UTC))).total_seconds(), 0.0), LONGEST_ASKED_SECONDS)
