"""Long work on the event loop: it lets others have their turn, so that a service answers meanwhile."""

import asyncio
import time
from typing import Final

_SECONDS: Final = 0.02


class Turn:
    """One piece of long work, from when it began or others had their turn last."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    async def let_others(self) -> None:
        """Lets others have their turn if this work has had the loop for long."""
        if time.monotonic() - self._began > _SECONDS:
            await asyncio.sleep(0)
            self._began = time.monotonic()
