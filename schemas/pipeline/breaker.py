"""The circuit breaker's limits, its state, and why it trips."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple


class BreakerLimits(NamedTuple):
    """`ratio_pct` of `min_events` or more within `window_seconds`, or `run_length` in a row on one raw partition.

    `retry_seconds` is how long an event may have been on the retry topics: those that are given up are compared with
    what came in when they did.
    """

    ratio_pct: Decimal
    min_events: int
    run_length: int
    window_seconds: float
    retry_seconds: float = 0.0


class BreakerCause(NamedTuple):
    """Why the brake goes on: in words, and in figures for those who look into it."""

    reason: str
    details: Mapping[str, Any]


class BreakerState(NamedTuple):
    """The brake as all workers see it. `released` says that an operator lets dead letters pass at this moment."""

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
        """Whether it is on for failures of visitors only, who may have made them up: one event that passes disproves it."""
        count = self.details.get("failures_of_visitors", 0)
        return self.engaged and bool(count) and count == self.details.get("failures_total")
