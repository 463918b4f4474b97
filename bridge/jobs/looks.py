"""Periodic checks beside long work: a timer checks whether the work may continue, even during one long step."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeAlias, TypeVar

T = TypeVar("T")

LOOK_SECONDS: Final = 1.0
"""Seconds between checks of a run. A check finds out whether the run was cancelled, and whether its wait is over."""

Look: TypeAlias = Callable[[], Awaitable[object]]
"""A check. It raises BridgeError, or an error of the database driver, when the work must stop."""


async def looked_after(work: Coroutine[Any, Any, T], look: Look) -> T:
    """Run `work`, and meanwhile call `look` periodically; an error that `look` raises ends the work.

    `work` must not use the database session that `look` uses. If that session has an open transaction, the queries of
    `look` also keep the transaction open: Postgres ends a transaction that is idle for a minute.
    """
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait({task}, timeout=LOOK_SECONDS))[0]:
            await look()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return task.result()
