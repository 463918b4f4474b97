"""Hourly limits on the reports of failed runs, so that one organisation's requests can't flood the operator.

A run is one execution of a job that changes something, such as a replay. Each organisation has a limit.
"""

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
    """Limits the reports of failed runs, for each organisation and for callers bound to none.

    A run is one execution of a job that changes something. `now` is a monotonic clock in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._buckets = Buckets("failed runs", MOST_AN_HOUR / 3600, now, burst=MOST_AN_HOUR)
        self._left_out: Counter[int | None] = Counter()

    def left_out(self, org_id: int | None) -> int | None:
        """Return whether to report a failed run of the organisation: None means no, because the limit is reached.

        A number means yes; it is the number of the organisation's failed runs that were not reported since the last
        report.
        """
        if self._buckets.grant(org_id):
            return self._left_out.pop(org_id, 0)
        self._left_out[org_id] += 1
        log.warning("failed_run_alert_suppressed", org_id=org_id, left_out=self._left_out[org_id])
        return None
