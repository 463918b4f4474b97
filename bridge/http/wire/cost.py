"""Cost of a request to the event loop until its sender is known, in processor time of the thread."""

import time
import types
from collections.abc import Awaitable, Generator
from typing import Any, Final

COST: Final = "bridge.cost"
"""Scope key of a request's Cost."""

_MOST_SECONDS: Final = 0.01
_PAID_SECONDS: Final = 0.0001
# A server's usual request is covered by its count on a slow machine too.
_OF_A_SERVER: Final = 5


def seconds_since(began: float) -> float:
    """Return the thread's processor time since `began`, by `time.thread_time`; at most 10 ms.

    A longer time before admission is a pause of the process, such as a garbage collection, and not caused by a client.
    """
    return min(time.thread_time() - began, _MOST_SECONDS)


class Cost:
    """The processor time of one request, in seconds: of parsing it, and of its steps until its sender is admitted.

    Waiting costs nothing. Both the address and the sender are charged for it: the address by its pace, and the sender,
    once it is known, in its share of the time.
    """

    __slots__ = ("_began", "_is_counted", "_taken", "counted", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.counted = 1
        """The number of requests it is already counted as; the address is charged for the cost beyond these."""
        self._is_counted = True
        self._began = 0.0
        self._taken = _PAID_SECONDS

    def admitted(self, *, is_server: bool) -> None:
        """Stop counting: later steps are charged to the request's sender as its work."""
        self._stop()
        self._is_counted = False
        if is_server:
            self.counted = _OF_A_SERVER

    def take(self) -> float:
        """Return the seconds beyond 0.1 ms that were not taken before; the sender is charged for them."""
        seconds = max(0.0, self.seconds - self._taken)
        self._taken += seconds
        return seconds

    @types.coroutine
    def of(self, work: Awaitable[None]) -> Generator[Any, Any, None]:
        """Run the work, and count the time of its steps."""
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
            except BaseException as thrown:  # noqa: BLE001  # a cancellation, which is for the work to hear of
                error = thrown

    def _start(self) -> None:
        if self._is_counted:
            self._began = time.thread_time()

    def _stop(self) -> None:
        if self._is_counted:
            self.seconds += seconds_since(self._began)
