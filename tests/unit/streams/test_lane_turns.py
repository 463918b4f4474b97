"""A lane yields the event loop while it processes a large batch."""

import asyncio
from dataclasses import replace
from itertools import count

from support.events.making import REGISTRY
from support.events.stream import Stream
from support.virtual_time import run_virtually

from schemas.pipeline.registry import Registry


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
