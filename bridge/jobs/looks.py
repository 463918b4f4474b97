"""Looks during long work: whether it may go on is asked by time, however long a piece of the work takes or waits for its turn."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeAlias, TypeVar

T = TypeVar("T")

LOOK_SECONDS: Final = 1.0
"""How often a run looks whether it was cancelled, and what became of what it waits for."""

Look: TypeAlias = Callable[[], Awaitable[object]]
"""Raises BridgeError, or what the driver raises, when the work must not go on."""


async def looked_after(work: Coroutine[Any, Any, T], look: Look) -> T:
    """Does the work, which does not use what the look uses, and looks meanwhile; what a look raises ends the work.

    A look at the session of a transaction is also its statement: Postgres ends one that is idle for a minute.
    """
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait({task}, timeout=LOOK_SECONDS))[0]:
            await look()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return task.result()
