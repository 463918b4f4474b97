"""Cost of a request until its sender is known: processor time of the event loop's thread."""

import time
import types
from collections.abc import Awaitable, Generator
from typing import Any, Final

COST: Final = "bridge.cost"
"""Scope key of a request's Cost."""

_MOST_SECONDS: Final = 0.01
_PAID_SECONDS: Final = 0.0001
# A request of a server counts as ten requests, so that even on a slow machine the count covers its usual cost.
_OF_A_SERVER: Final = 10


def seconds_since(began: float) -> float:
    """Return the thread's processor time since `began` (a value of `time.thread_time`), in seconds; at most 10 ms.

    A longer time comes from a pause of the process, such as a garbage collection, which the client has not caused.
    """
    return min(time.thread_time() - began, _MOST_SECONDS)


class Cost:
    """The processor time of one request, in seconds: of its parsing, and of its steps until its sender is admitted.

    Waiting costs nothing. The cost is charged twice: to the rate of the client address, and, once the sender is known,
    to the sender's share of the event loop's time.
    """

    __slots__ = ("_began", "_is_counted", "_taken", "counted", "seconds")

    def __init__(self, seconds: float = 0.0) -> None:
        """`seconds` were used before the request."""
        self.seconds = seconds
        self.counted = 1
        """The number of requests that the address has already paid for. It is charged for the cost beyond these."""
        self._is_counted = True
        self._began = 0.0
        self._taken = _PAID_SECONDS

    def admitted(self, *, is_server: bool) -> None:
        """Stop counting, because the sender is known: the time of later steps is charged to the sender elsewhere."""
        self._stop()
        self._is_counted = False
        if is_server:
            self.counted = _OF_A_SERVER

    def take(self) -> float:
        """Return the seconds to charge to the sender now: the cost beyond 0.1 ms, less what earlier calls returned."""
        seconds = max(0.0, self.seconds - self._taken)
        self._taken += seconds
        return seconds

    @types.coroutine
    def of(self, work: Awaitable[None]) -> Generator[Any, Any, None]:
        """Run the coroutine `work`, and count the processor time of its steps between two awaits."""
        steps = work.__await__()
        error: BaseException | None = None
        while True:
            self._start()
            try:
                waits_for = next(steps) if error is None else steps.throw(error)
            except StopIteration:
                return
            finally:
                self._stop()
            error = None
            try:
                yield waits_for
            except BaseException as thrown:  # noqa: BLE001  # a cancellation, which is passed to the work
                error = thrown

    def _start(self) -> None:
        if self._is_counted:
            self._began = time.thread_time()

    def _stop(self) -> None:
        if self._is_counted:
            self.seconds += seconds_since(self._began)
