"""A commit whose caller has given up fails alone, and asyncio does not log its error as nobody's."""

import asyncio
import gc

from aiokafka.errors import GroupCoordinatorNotAvailableError

from sinks.kafka_connection import _retrieved


async def test_a_commit_that_fails_after_its_caller_gave_up_is_nobodys_error() -> None:
    """aiokafka shields it from the cancellation of the one who waits."""
    goes_on, ended = asyncio.Event(), asyncio.Event()
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))

    async def commit(_coordinator: object) -> None:
        await goes_on.wait()
        ended.set()
        raise GroupCoordinatorNotAvailableError("away")

    caller = asyncio.create_task(asyncio.wait_for(asyncio.shield(_retrieved(commit)(None)), 0.01))
    await asyncio.wait([caller])
    assert isinstance(caller.exception(), TimeoutError)
    goes_on.set()
    await ended.wait()
    await asyncio.sleep(0)
    gc.collect()
    assert told == []
