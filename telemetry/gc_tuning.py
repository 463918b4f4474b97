"""Python's search for garbage, kept from costing as much as the work."""

import asyncio
import gc
from typing import Final

# Batches are thousands of young objects that die by themselves; looking for cycles among them cost a fifth of the
# worker's time. What is long-lived is never looked at again.
BATCHES: Final = 100_000
"""So many young objects of one that works in batches are looked at together."""
REQUESTS: Final = 20_000
"""And of one that answers requests, which all wait meanwhile: it takes 15 ms on a slow machine."""
_OLDER: Final = (50, 50)
_SECONDS: Final = 60.0


def search_rarely(young: int = BATCHES) -> None:
    """Looks at so many young objects at a time. Call it once all is loaded: what lives now lives as long as the process."""
    _keep_what_lives()
    gc.set_threshold(young, *_OLDER)


async def search_now_and_then() -> None:
    """Until cancelled: old rings of objects, such as a lost connection's or an ended lane's, are not left lying for good.

    What was loaded at start is not looked at either.
    """
    _keep_what_lives()
    while True:
        await asyncio.sleep(_SECONDS)
        gc.collect()


def _keep_what_lives() -> None:
    gc.collect()
    gc.freeze()
