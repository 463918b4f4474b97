"""A lane yields the event loop while it processes a large batch, and all lanes together take one turn at a time."""

import asyncio
from collections.abc import Container
from dataclasses import replace
from itertools import count, pairwise

from support.events.making import BOUNDS, POLICY, RAW, REGISTRY, batch, record
from support.events.sealed import TRUST
from support.events.stream import Stream
from support.virtual_time import VirtualTimeLoop, run_virtually

from schemas.pipeline.record import TopicPartition
from schemas.pipeline.registry import Registry
from streams.judging import Judging

LANES, COSTLY = 8, 0.025


def test_others_have_their_turn_while_a_batch_is_judged() -> None:
    """By the lane's clock a slice ends with each record."""
    turns, turns_before_it_settles = 0, 0

    async def main() -> None:
        nonlocal turns_before_it_settles
        stream = Stream()
        for number in range(50):
            # The native path leaves an empty time to Python, which yields after each record here.
            stream.produce(event_id=f"e-{number}", sent_at="")
        clock = count()
        fails = stream._maybe  # the memory adapters' own hook

        async def other() -> None:
            nonlocal turns
            for turns in range(1, 41):  # noqa: B007  # counted from outside
                await asyncio.sleep(0)

        def judged_by() -> Registry:
            begun.append(asyncio.create_task(other()))
            return REGISTRY

        def maybe(seam: str) -> None:
            nonlocal turns_before_it_settles
            if seam == "commit":
                turns_before_it_settles = turns
            fails(seam)

        begun: list[asyncio.Task[None]] = []
        stream._maybe = maybe  # type: ignore[method-assign]
        stream.parts = replace(stream.parts, monotonic=lambda: float(next(clock)), registry=judged_by)
        async with stream.running():
            await stream.until(lambda: len(stream.store.events) == 50, "all settled")

    run_virtually(main())
    assert turns_before_it_settles == 40


class Costly(Container[bytes]):
    """No known event keys, each looked up in 25 ms, as long as a busy worker takes for a costly event."""

    def __contains__(self, key: object) -> bool:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.work(COSTLY)
        return False


async def during_costly_batches(events: int, rounds: int, beside: Container[bytes]) -> tuple[list[float], float]:
    """Each lane has `rounds` batches of costly events, and one more lane a batch of one event after the first round.

    Return how long each iteration of the event loop took, and how long the batch of one event took.
    """
    loop = asyncio.get_running_loop()
    judging = Judging(lambda: REGISTRY, lambda: TRUST, POLICY, BOUNDS, RAW, native=False, monotonic=loop.time)

    async def lane(partition: int) -> None:
        source = TopicPartition(RAW, partition)
        for _ in range(rounds):
            (found,) = await judging.judge([batch(*(record(n, source=source) for n in range(events)))], Costly(), {})
            assert len(found.candidates) == events

    async def single() -> float:
        await asyncio.sleep(LANES * events * COSTLY)
        began = loop.time()
        await judging.judge([batch(record(source=TopicPartition(RAW, LANES)))], beside, {})
        return loop.time() - began

    costly = [asyncio.create_task(lane(partition)) for partition in range(LANES)]
    one = asyncio.create_task(single())
    times = [loop.time()]
    while not all(task.done() for task in costly):
        await asyncio.sleep(0)
        times.append(loop.time())
    await asyncio.gather(*costly)
    return [after - before for before, after in pairwise(times)], await one


def test_all_lanes_together_take_one_turn_in_an_iteration_of_the_loop() -> None:
    """So each of the awaits of another lane's commit takes at most as long as one costly event."""
    iterations, _ = run_virtually(during_costly_batches(15, 4, ()))
    assert max(iterations) <= COSTLY + 0.001
    assert sum(iterations) <= 4 * 15 * LANES * COSTLY + 0.001


def test_a_single_event_does_not_wait_for_a_turn_of_each_costly_lane() -> None:
    """Its partition has used the least time, also when the others' batches have just begun."""
    _, took = run_virtually(during_costly_batches(1, 20, ()))
    assert took <= 3.5 * COSTLY
