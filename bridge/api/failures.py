"""An hourly limit on reports of failed runs for each organisation, so that its requests can't flood the operator."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from bridge.http.token_buckets import Buckets

MOST_AN_HOUR: Final = 20
"""Failed runs of one organisation that are reported in a burst, and then per hour."""

log = structlog.get_logger(__name__)


class Failures:
    """Counts of failed runs by organisation, and of callers without one; `now` is a monotonic clock in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._buckets = Buckets("failed runs", MOST_AN_HOUR / 3600, now, burst=MOST_AN_HOUR)
        self._left_out: Counter[int | None] = Counter()

    def left_out(self, org_id: int | None) -> int | None:
        """Return the number of unreported failures since the last report; None if this one is not to be reported."""
        if self._buckets.grant(org_id):
            return self._left_out.pop(org_id, 0)
        self._left_out[org_id] += 1
        log.warning("failed_run_alert_suppressed", org_id=org_id, left_out=self._left_out[org_id])
        return None
