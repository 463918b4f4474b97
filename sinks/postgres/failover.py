"""Choice among the servers of a URL: asked in parallel, so that a silent one does not delay the connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg

from schemas.config.addresses import Place, database_places

STAGGER_SECONDS: Final = 0.3
"""Delay, in seconds, before the next server is asked in parallel."""

_answered: dict[str, Place] = {}
"""The server of each URL that accepted the last connection; it is asked first."""


async def connect_to_one(dsn: str, dial: Callable[[Place], Awaitable[Any]]) -> Any:
    """Return the first connection that `dial` makes to one of the URL's servers, of which there are several.

    Raises a server's error if all of them answered, else ConnectionError with the error of each.
    """
    last = _answered.get(dsn)
    left = sorted(database_places(dsn), key=lambda place: place != last)
    dialling: dict[asyncio.Future[Any], Place] = {}
    problems: dict[Place, BaseException] = {}
    try:
        while left or dialling:
            if left:
                place = left.pop(0)
                dialling[asyncio.ensure_future(dial(place))] = place
            done, _ = await asyncio.wait(
                dialling, timeout=STAGGER_SECONDS if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                if (problem := task.exception()) is None:
                    _answered[dsn] = dialling.pop(task)
                    return task.result()
                problems[dialling.pop(task)] = problem
    finally:
        await _give_up(dialling)
    raise _error_of(problems)


async def _give_up(dialling: dict[asyncio.Future[Any], Place]) -> None:
    for task in dialling:
        task.cancel()
    for late in await asyncio.gather(*dialling, return_exceptions=True):
        if not isinstance(late, BaseException):
            late.terminate()


def _error_of(problems: dict[Place, BaseException]) -> BaseException:
    # A server that is away may be the one that would have accepted the client.
    if all(isinstance(problem, asyncpg.PostgresError | ValueError) for problem in problems.values()):
        return next(iter(problems.values()))
    each = (f"{place}: {str(problem).strip() or 'no answer in time'}" for place, problem in problems.items())
    return ConnectionError(f"none of {len(problems)} hosts can be used: {'; '.join(each)}")
