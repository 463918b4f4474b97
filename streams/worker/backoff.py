"""Backoff while a service is away: growing delays with jitter between the tries.

A caller that is a member of a consumer group polls between the tries, so that it stays a member.
"""

from collections.abc import Callable
from typing import Any, Final

import structlog

FIRST_SECONDS: Final = 0.2
# With the jitter, work resumes within ten seconds of a service's return.
LONGEST_SECONDS: Final = 6.0
# Each of the first failures is logged, then one a minute, so that an outage does not flood the log.
_LOGGED_EACH = 3

log = structlog.get_logger(__name__)


class Backoff:
    """The delays between tries while a service is away. `failures` is the number of failed tries in a row."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self.failures = 0
        self._waited = 0.0
        self._logged_at = 0.0

    @property
    def waiting(self) -> bool:
        """Whether the last try failed."""
        return self.failures > 0

    def failed(self, lane: str, error: Exception) -> float:
        """Record a failed try, and return the seconds to wait before the next one.

        The failure is logged unless one was logged recently.
        """
        self.failures += 1
        seconds = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self.failures - 1, 16))
        seconds *= 0.75 + 0.5 * self._random()
        if self.failures <= _LOGGED_EACH or self._waited - self._logged_at >= 60:
            self._logged_at = self._waited
            log.warning("lane_backing_off", **self._figures(lane), error=str(error))
        self._waited += seconds
        return seconds

    def succeeded(self, lane: str) -> None:
        """Reset the failures, and log the end of the outage."""
        if self.failures:
            log.info("resumed", **self._figures(lane))
        self.failures, self._waited, self._logged_at = 0, 0.0, 0.0

    def _figures(self, lane: str) -> dict[str, Any]:
        return {"lane": lane, "tries": self.failures, "waited_seconds": round(self._waited, 1)}
