"""Long work on the event loop: who waits has a turn when one is over, and not before."""

import asyncio
from collections.abc import Iterator

from sinks.turn import TURN_SECONDS, Turn, in_turns


async def turns_of_others(during: "asyncio.Task[None]") -> int:
    """How often another task had the loop before this one was done."""
    turns = 0
    while not during.done():
        turns += 1
        await asyncio.sleep(0)
    return turns


async def test_others_wait_until_a_turn_is_over() -> None:
    """The clock is asked each time; after others have had theirs, a new one begins."""
    times = iter([0.0, TURN_SECONDS / 2, TURN_SECONDS, 10.0, 10.0 + TURN_SECONDS / 2])

    async def work() -> None:
        turn = Turn(now=lambda: next(times))
        for _ in range(3):
            await turn.let_others()

    assert await turns_of_others(asyncio.create_task(work())) == 2


async def test_work_is_done_in_turns() -> None:
    """Wherever it yields, and at its end."""
    done: list[int] = []

    def work() -> Iterator[None]:
        for number in range(5):
            done.append(number)
            yield

    assert await turns_of_others(asyncio.create_task(in_turns(work()))) >= 6
    assert done == list(range(5))
