"""Send rate of a run: a number of items a second, in batches small enough to stop between them."""

from collections.abc import Callable
from typing import Final

_BATCHES_A_SECOND: Final = 4


class Pace:
    """Send rate; `rate` is in items a second, 0 means no limit. `monotonic` returns seconds."""

    def __init__(self, rate: float, monotonic: Callable[[], float]) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._began = monotonic()
        self._sent = 0

    def batch(self, most: int) -> int:
        """Return the number of items that the next batch may contain."""
        return most if not self._rate else max(1, min(most, int(self._rate / _BATCHES_A_SECOND)))

    def sent(self, count: int) -> None:
        """Count items that were sent."""
        self._sent += count

    def seconds_to_wait(self) -> float:
        """Return the seconds until the next batch may be sent; 0 or less if it may be sent now."""
        return 0.0 if not self._rate else self._began + self._sent / self._rate - self._monotonic()

    def per_second(self) -> float:
        """Return the items sent per second so far."""
        return self._sent / max(self._monotonic() - self._began, 1e-9)
