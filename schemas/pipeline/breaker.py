"""The circuit breaker's limits, state and cause."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple


class BreakerLimits(NamedTuple):
    """Limits: `ratio_pct` of at least `min_events` in `window_seconds`, or `run_length` in a row on one raw partition.

    `retry_seconds` is the longest time of an event on the retry topics: exhausted retries are compared with the events
    that arrived at the same time.
    """

    ratio_pct: Decimal
    min_events: int
    run_length: int
    window_seconds: float
    retry_seconds: float = 0.0


class BreakerCause(NamedTuple):
    """Why the circuit breaker trips: a reason in words, and details for its analysis."""

    reason: str
    details: Mapping[str, Any]


class BreakerState(NamedTuple):
    """The state of the circuit breaker in all workers. `released` is True while an operator lets dead letters pass."""

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
        """Whether only visitors' failures tripped it. They may be forged, so one event that passes refutes them."""
        count = self.details.get("failures_of_visitors", 0)
        return self.engaged and bool(count) and count == self.details.get("failures_total")
