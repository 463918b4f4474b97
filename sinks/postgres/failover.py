"""Which of the servers that a URL names takes a connection: asked side by side, so that a silent one delays nobody."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg

from schemas.config.addresses import Place, database_places

STAGGER_SECONDS: Final = 0.3
"""How long one server may take before the next one is asked beside it."""

_answered: dict[str, Place] = {}
"""The server of each URL that took the last connection; it is asked first."""


async def connect_to_one(dsn: str, dial: Callable[[Place], Awaitable[Any]]) -> Any:
    """The first connection that `dial` makes to one of the servers of the URL, of which there are several.

    Raises what a server answered if each did, else ConnectionError with what went wrong with each.
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
    raise _told(problems)


async def _give_up(dialling: dict[asyncio.Future[Any], Place]) -> None:
    for task in dialling:
        task.cancel()
    for late in await asyncio.gather(*dialling, return_exceptions=True):
        if not isinstance(late, BaseException):
            late.terminate()


def _told(problems: dict[Place, BaseException]) -> BaseException:
    # One that is away may be the one that would have taken the client.
    if all(isinstance(problem, asyncpg.PostgresError | ValueError) for problem in problems.values()):
        return next(iter(problems.values()))
    each = (f"{place}: {str(problem).strip() or 'no answer in time'}" for place, problem in problems.items())
    return ConnectionError(f"none of {len(problems)} hosts can be used: {'; '.join(each)}")
