"""How fast a run may send: so many items a second, in batches small enough to be stopped between."""

from collections.abc import Callable
from typing import Final

_BATCHES_A_SECOND: Final = 4


class Pace:
    """`rate` is in items a second, 0 for no bound; `monotonic` gives seconds."""

    def __init__(self, rate: float, monotonic: Callable[[], float]) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._began = monotonic()
        self._sent = 0

    def batch(self, most: int) -> int:
        """How many items the next batch may have."""
        return most if not self._rate else max(1, min(most, int(self._rate / _BATCHES_A_SECOND)))

    def sent(self, count: int) -> None:
        """Counts what was sent."""
        self._sent += count

    def seconds_to_wait(self) -> float:
        """Until the next batch may go; 0 or less if it may go now."""
        return 0.0 if not self._rate else self._began + self._sent / self._rate - self._monotonic()

    def per_second(self) -> float:
        """How many items a second were sent so far."""
        return self._sent / max(self._monotonic() - self._began, 1e-9)
