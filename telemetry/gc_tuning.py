"""Python's garbage collector, tuned to take little of the worker's time."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# A batch creates thousands of objects, which reference counting frees. Looking for cycles among them took a fifth of
# the worker's time. Long-lived objects are frozen, so that the collector does not scan them again.
BATCHES: Final = 100_000
"""The collector's threshold of young objects in a process that works in batches."""
REQUESTS: Final = 20_000
"""The threshold in a process that answers requests. All requests wait for a scan: 15 ms on a slow machine."""
_OLDER: Final = (50, 50)
_SECONDS: Final = 60.0


def search_rarely(young: int = BATCHES) -> None:
    """Let the garbage collector scan only after `young` new objects.

    Call this after all modules are loaded, because the objects that exist now are never scanned again.
    """
    _keep_what_lives()
    gc.set_threshold(young, *_OLDER)


async def search_now_and_then() -> None:
    """Collect garbage once a minute until cancelled, such as reference cycles of closed connections and ended tasks."""
    _keep_what_lives()
    while True:
        await asyncio.sleep(_SECONDS)
        gc.collect()


@contextmanager
def collecting_later() -> Iterator[None]:
    """Leave out collections within this context, which must be short and must not wait."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _keep_what_lives() -> None:
    gc.collect()
    gc.freeze()
