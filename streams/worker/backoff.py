"""Waiting in place while a service is away: growing pauses, and polling goes on so that the group keeps its member."""

from collections.abc import Callable
from typing import Final

import structlog

FIRST_SECONDS: Final = 0.2
# With what is added by chance: work goes on within ten seconds of a service's return.
LONGEST_SECONDS: Final = 6.0
# The first tries are told each; then one line a minute, so that an outage does not flood the log.
_TOLD_EACH = 3

log = structlog.get_logger(__name__)


class Patience:
    """Counts tries that failed in a row, the `failures`, and says how long to wait before the next."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self.failures = 0
        self._waited = 0.0
        self._told_at = 0.0

    @property
    def waiting(self) -> bool:
        """Whether the last try failed."""
        return self.failures > 0

    def failed(self, lane: str, error: Exception) -> float:
        """Notes a failure, logs it at a bounded rate, and returns the seconds to wait."""
        self.failures += 1
        seconds = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self.failures - 1, 16))
        seconds *= 0.75 + 0.5 * self._random()
        if self.failures <= _TOLD_EACH or self._waited - self._told_at >= 60:
            self._told_at = self._waited
            log.warning(
                "paused_in_place",
                lane=lane,
                tries=self.failures,
                waited_seconds=round(self._waited, 1),
                error=str(error),
            )
        self._waited += seconds
        return seconds

    def succeeded(self, lane: str) -> None:
        """Forgets the failures, and says that the outage is over."""
        if self.failures:
            log.info("resumed", lane=lane, tries=self.failures, waited_seconds=round(self._waited, 1))
        self.failures, self._waited, self._told_at = 0, 0.0, 0.0
