"""A store that does not answer pauses its lane while the commit still waits."""

import asyncio

from support.events.stream import Stream
from support.memory.sink import MemorySink
from support.virtual_time import run_virtually

from schemas.pipeline.pause import PauseReason


def test_a_lane_that_waits_for_a_silent_store_is_paused() -> None:
    """Metric and health show the pause before any time-out, and only while it lasts."""
    answered = asyncio.Event()

    class Silent(MemorySink):
        async def commit(self, outcomes):  # type: ignore[no-untyped-def]
            self.silent = True
            await answered.wait()
            self.silent = False
            return await super().commit(outcomes)

    async def main() -> Stream:
        stream = Stream(partitions=2)
        object.__setattr__(stream.parts, "make_sink", lambda: Silent(stream.store))
        async with stream.running() as lanes:
            stream.produce()
            await stream.until(lambda: lanes[0].waiting, "a lane that waits")
            assert lanes[0].paused(PauseReason.OUTAGE) == 2
            answered.set()
            await stream.settled()
            assert not lanes[0].waiting
            assert lanes[0].paused(PauseReason.OUTAGE) == 0
        return stream

    run_virtually(main()).assert_balanced()
