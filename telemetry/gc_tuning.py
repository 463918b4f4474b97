"""Python's garbage collector, tuned to take little of the worker's time."""

import asyncio
import gc
from typing import Final

# Batches are thousands of young objects that reference counting frees. Looking for cycles among them took a fifth of
# the worker's time. Long-lived objects are frozen: the collector never scans them again.
BATCHES: Final = 100_000
"""The collector's threshold of young objects for a process that works in batches."""
REQUESTS: Final = 20_000
"""The threshold for a process that answers requests. All of them wait for a scan: 15 ms on a slow machine."""
_OLDER: Final = (50, 50)
_SECONDS: Final = 60.0


def search_rarely(young: int = BATCHES) -> None:
    """Scan only when `young` objects have accumulated. Call this once all is loaded: it freezes what exists now."""
    _keep_what_lives()
    gc.set_threshold(young, *_OLDER)


async def search_now_and_then() -> None:
    """Collect garbage once a minute until cancelled, such as the cycles of a lost connection or of an ended lane.

    Objects that exist at the call are frozen and not scanned.
    """
    _keep_what_lives()
    while True:
        await asyncio.sleep(_SECONDS)
        gc.collect()


def _keep_what_lives() -> None:
    gc.collect()
    gc.freeze()
