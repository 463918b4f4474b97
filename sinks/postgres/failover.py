"""Choice among the several servers of a Postgres URL, all tried in parallel so that a silent one causes no delay."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg

from schemas.config.addresses import Place, database_places

STAGGER_SECONDS: Final = 0.3
"""How long one server may take, in seconds, before the next one is asked in parallel."""

_answered: dict[str, Place] = {}
"""By URL, the server that accepted the last connection. It is asked first."""


async def connect_to_one(dsn: str, dial: Callable[[Place], Awaitable[Any]]) -> Any:
    """Return the first connection that `dial` makes to one of the URL's servers.

    `dial` is called with one server's host and port, and returns a connection or raises. If all servers refuse, the
    error of the first server to refuse is raised. If some servers don't answer and the others refuse, ConnectionError
    is raised with every server's error.
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
    # If a server is away, the refusals of the others prove nothing: it may be the one that accepts the client.
    if all(isinstance(problem, asyncpg.PostgresError | ValueError) for problem in problems.values()):
        return next(iter(problems.values()))
    each = (f"{place}: {str(problem).strip() or 'no answer in time'}" for place, problem in problems.items())
    return ConnectionError(f"none of the URL's {len(problems)} hosts can be used: {'; '.join(each)}")
