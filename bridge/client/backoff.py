"""Backoff between tries: a growing, random delay, never shorter than the server requests."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

FIRST_SECONDS: Final = 0.25
LONGEST_SECONDS: Final = 30.0
LONGEST_ASKED_SECONDS: Final = 3600.0


def pause(failures: int, asked: float | None, chance: Callable[[], float] = random.random) -> float:
    """Return the seconds before the next try, after `failures` in a row; `asked` is the delay by Retry-After."""
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures, 16))
    spread = longest * (0.5 + chance() / 2)
    # Slightly more than requested, so that clients that were refused at the same time don't return at the same time.
    return spread if asked is None else max(spread, asked * (1 + chance() / 10))


def asked_seconds(retry_after: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds of a Retry-After header, which has a number or a date; None if it is absent or invalid."""
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
