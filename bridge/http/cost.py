"""What a request costs the loop until it is known whose it is, by the thread's own time."""

import time
import types
from collections.abc import Awaitable, Generator
from typing import Any, Final

COST: Final = "bridge.cost"
"""In the scope of a request whose address has a pace: its Cost."""

_MOST_SECONDS: Final = 0.01


def seconds_since(began: float) -> float:
    """The thread's processor time since then, by `time.thread_time`; at most 10 ms.

    What takes longer before admission is a pause of the process, as for its garbage, and no client's.
    """
    return min(time.thread_time() - began, _MOST_SECONDS)


class Cost:
    """The processor time of one request's steps, in seconds, until its sender is admitted; waiting costs nothing.

    A server's requests are free: whose they are is known, and their work counts in its script's share of the time.
    """

    __slots__ = ("_began", "_is_counted", "is_free", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.is_free = False
        self._is_counted = True
        self._began = 0.0

    def admitted(self, *, free: bool) -> None:
        """Counts no more: what comes now is charged to the request's sender. `free` forgives what was counted too."""
        self._stop()
        self._is_counted = False
        self.is_free = free

    @types.coroutine
    def of(self, work: Awaitable[None]) -> Generator[Any, Any, None]:
        """Does the work, and counts its steps."""
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
