"""Long work on the event loop: other tasks run when a turn is over, and not before."""

import asyncio
import itertools
from collections.abc import Generator

import pytest
from support.virtual_time import VirtualTimeLoop, run_virtually

from sinks.cooperative import TURN_SECONDS, Share, Turn


async def turns_of_others(during: "asyncio.Task[None]") -> int:
    """The number of times another task ran before this one was done."""
    turns = 0
    while not during.done():
        turns += 1
        await asyncio.sleep(0)
    return turns


async def test_others_wait_until_a_turn_is_over() -> None:
    """The clock is read each time, and a new turn begins after the others ran."""
    times = iter([0.0, TURN_SECONDS / 2, TURN_SECONDS, 10.0, 10.0 + TURN_SECONDS / 2])

    async def work() -> None:
        turn = Turn(now=lambda: next(times))
        for _ in range(3):
            await turn.let_others()

    assert await turns_of_others(asyncio.create_task(work())) == 2


def test_several_share_half_of_the_loop() -> None:
    """After long work the loop is free for as long, for any number of callers; short pieces run in a row."""
    long, short = 3 * TURN_SECONDS, TURN_SECONDS / 4
    clock = 0.0
    began: list[float] = []

    def work(seconds: float) -> None:
        nonlocal clock
        began.append(asyncio.get_running_loop().time())
        clock += seconds

    async def ask(share: Share, seconds: float) -> None:
        await share.do(lambda: work(seconds))

    async def asked(*pieces: float) -> list[float]:
        began.clear()
        share = Share(lambda: clock)
        await asyncio.gather(*(ask(share, seconds) for seconds in pieces))
        return [round(after - before, 6) for before, after in itertools.pairwise(began)]

    assert run_virtually(asked(long, long, long)) == [long, long]
    assert run_virtually(asked(*[short] * 5)) == [0.0, 0.0, 0.0, 4 * short]


async def ended_at(*tasks: tuple[int | None, int, float], after: float = 0.0) -> list[float]:
    """The end of each task, given as organisation, pieces and seconds per piece; the last one starts later."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    share = Share(loop.time)

    async def task(number: int) -> float:
        org, pieces, seconds = tasks[number]
        await asyncio.sleep(after if number == len(tasks) - 1 else 0)
        own = share.of(org)
        for _ in range(pieces):
            await own.do(lambda: loop.work(seconds))
        return loop.time()

    return await asyncio.gather(*map(task, range(len(tasks))))


@pytest.mark.parametrize("other", [3, None])
def test_organisations_have_the_same_time(other: int | None) -> None:
    """The number and length of one's tasks do not matter; no organisation counts as one."""
    own = (4, 500, 0.001)
    (alone,) = run_virtually(ended_at(own))
    *_, beside = run_virtually(ended_at(*[(other, 50, 0.06)] * 4, own))
    assert beside <= 3 * alone


def test_tasks_of_an_organisation_have_the_same_time() -> None:
    """Long pieces delay short ones by no more than the same time."""
    own = (4, 500, 0.001)
    (alone,) = run_virtually(ended_at(own))
    *_, beside = run_virtually(ended_at((4, 50, 0.06), own))
    assert beside <= 3 * alone


def test_nobody_saves_up_time() -> None:
    """A task that comes later gets half of the time and no compensation."""
    early, late = run_virtually(ended_at((3, 100, 0.05), (4, 100, 0.05), after=5.0))
    assert early < late
    assert early <= 5.0 + 2 * 5.1


def test_a_turn_of_a_task_that_is_cancelled_is_the_next_one_s() -> None:
    """The turn may be given at the moment of the cancellation."""
    done: list[str] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        share = Share(loop.time)
        await share.do(lambda: loop.work(TURN_SECONDS))
        tasks = {
            name: asyncio.create_task(share.do(lambda name=name: done.append(name)))
            for name in ("gone", "given", "next")
        }
        await asyncio.sleep(0)
        tasks["gone"].cancel()
        loop.call_at(2 * TURN_SECONDS, tasks["given"].cancel)
        await asyncio.gather(*tasks.values(), return_exceptions=True)

    run_virtually(work())
    assert done == ["next"]


async def test_work_in_pieces_comes_to_its_end_or_its_error() -> None:
    """Others of the share run meanwhile, also after a failed one."""
    done: list[str] = []

    def work(name: str, *, fails: bool = False) -> Generator[None, None, str]:
        for number in range(2):
            done.append(f"{name}{number}")
            yield
        if fails:
            raise KeyError(name)
        return name

    share = Share()
    found = await asyncio.gather(share.finish(work("a", fails=True)), share.finish(work("b")), return_exceptions=True)
    assert isinstance(found[0], KeyError)
    assert (found[1], sorted(done)) == ("b", ["a0", "a1", "b0", "b1"])
