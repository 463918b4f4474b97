"""Periodic checks during long work: a timer asks whether the work may continue, however long one step takes."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeAlias, TypeVar

T = TypeVar("T")

LOOK_SECONDS: Final = 1.0
"""How often a run looks whether it was cancelled, and what became of what it waits for."""

Look: TypeAlias = Callable[[], Awaitable[object]]
"""Raises BridgeError, or what the driver raises, when the work must not go on."""


async def looked_after(work: Coroutine[Any, Any, T], look: Look) -> T:
    """Run `work` and call `look` periodically beside it; an error that `look` raises ends the work.

    `work` must not use the resources of `look`. A look at the session of a transaction is also a statement: Postgres
    ends a transaction that is idle for a minute.
    """
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait({task}, timeout=LOOK_SECONDS))[0]:
            await look()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return task.result()
