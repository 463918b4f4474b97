"""Periodic checks during long work: a timer asks whether the work may continue, however long one step takes."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeAlias, TypeVar

T = TypeVar("T")

LOOK_SECONDS: Final = 1.0
"""Seconds between checks of a run: whether it was cancelled, and the state of what it waits for."""

Look: TypeAlias = Callable[[], Awaitable[object]]
"""Raises BridgeError, or an error of the database driver, when the work must stop."""


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
