"""An event loop whose clock jumps to the next timer, so that hours of waiting take no time and order is exact."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Never waits: when nothing is ready, its clock jumps to the next timer."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__()

    def time(self) -> float:
        return self._now

    def work(self, seconds: float) -> None:
        """Keep the loop busy for so many seconds of virtual time."""
        self._now += seconds

    def _run_once(self) -> None:
        if not self._ready:  # type: ignore[attr-defined]  # the base class's own fields
            waiting = [handle.when() for handle in self._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
            if not waiting:
                raise RuntimeError("everything waits for something that never comes")
            self._now = max(self._now, min(waiting))
        super()._run_once()  # type: ignore[misc]


def run_virtually(work: Coroutine[Any, Any, Result]) -> Result:
    """Run the coroutine to its end in virtual time, which begins at 0 seconds."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)
