"""Python's search for garbage, kept from costing as much as the work."""

import asyncio
import gc
from typing import Final

# Batches and requests are thousands of young objects that die by themselves; looking for cycles among them cost a fifth
# of the worker's time. What is long-lived is never looked at again.
THRESHOLDS: Final = (100_000, 50, 50)
_SECONDS: Final = 60.0


def search_rarely() -> None:
    """Call it once all is loaded: what lives now is taken to live as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


async def search_now_and_then() -> None:
    """Until cancelled: old rings of objects, such as a lost connection's or an ended lane's, are not left lying for good."""
    while True:
        await asyncio.sleep(_SECONDS)
        gc.collect()
