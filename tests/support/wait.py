"""Waits for a condition instead of a fixed time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

_FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.1


async def wait_until(
    condition: Callable[[], object | Awaitable[object]],
    *,
    budget_seconds: float,
    describe: str | Callable[[], str],
) -> object:
    """Poll until the condition is true and return its value; fails with the description after the budget."""
    started = time.monotonic()
    pause = _FIRST_PAUSE_SECONDS
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        waited = time.monotonic() - started
        if waited >= budget_seconds:
            what = describe() if callable(describe) else describe
            raise AssertionError(f"waited {waited:.1f} s in vain for: {what} (last seen: {value!r})")
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
