"""The circuit breaker for dead letters: its limits, its state, and the cause for which it trips."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple


class BreakerLimits(NamedTuple):
    """The limits at which the circuit breaker trips, counted in events that would be dead-lettered.

    The breaker trips in one of two cases. In the first, at least `ratio_pct` per cent of the events in `window_seconds`
    would be dead-lettered, of at least `min_events` events. In the second, `run_length` events in a row on one raw
    partition would be. `retry_seconds` is the longest time that an event stays on the retry topics. Events whose
    retries are exhausted are compared with events that arrived at the same time.
    """

    ratio_pct: Decimal
    min_events: int
    run_length: int
    window_seconds: float
    retry_seconds: float = 0.0


class BreakerCause(NamedTuple):
    """Why the circuit breaker trips: a reason as text, and details for an operator's analysis."""

    reason: str
    details: Mapping[str, Any]


class Passing(NamedTuple):
    """Whose events have become rows lately in any process, as far as Postgres was asked.

    `in_window` are the sites of about the last window. `in_day` are sites of up to two owners, of the last day.
    `just_now` says whether any event has passed since failures of visitors last counted.
    """

    in_window: frozenset[int] = frozenset()
    in_day: frozenset[int] = frozenset()
    just_now: bool = False


NOBODY: Final = Passing()
"""Nobody's events, or nobody has asked."""


class BreakerState(NamedTuple):
    """The circuit breaker's state, which all workers share through Postgres.

    `released` is True while an operator has turned the breaker off, so that dead letters are published.
    """

    engaged: bool = False
    released: bool = False
    by_hand: bool = False
    changed_at: datetime | None = None
    changed_by: str = ""
    reason: str = ""
    details: Mapping[str, Any] = {}
    probed_at: datetime | None = None
    released_until: datetime | None = None

    @property
    def by_visitors_alone(self) -> bool:
        """Whether only failures of visitors (anonymous senders) have tripped the breaker.

        Anyone can forge such failures, so one event that passes is enough to reset the breaker.
        """
        count = self.details.get("failures_of_visitors", 0)
        return self.engaged and bool(count) and count == self.details.get("failures_total")
