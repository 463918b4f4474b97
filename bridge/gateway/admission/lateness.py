"""Whether the gateway is late: servers wait for their answers because of others, and so more of their requests are in flight."""

import time
from collections.abc import Callable
from typing import Final

_LATE_SECONDS: Final = 1.0
_LASTS_SECONDS: Final = 5.0


class Lateness:
    """Remembers for some seconds that a server waited longer than a second for an answer."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._until = 0.0

    def answered(self, seconds: float) -> None:
        """Record for how many seconds a server waited for its answer, without the waits that it caused itself."""
        if seconds > _LATE_SECONDS:
            self._until = self._now() + _LASTS_SECONDS

    @property
    def is_late(self) -> bool:
        """Return whether such an answer was late in the last seconds."""
        return self._now() < self._until
