"""The checks of stored offsets before a commit, in virtual time."""

import asyncio

from support.events.stream import Stream
from support.memory.sink import MemoryOffset
from support.virtual_time import run_virtually

from streams.worker.committer import CHECK_SECONDS


def test_a_busy_lane_follows_a_partition_that_moved() -> None:
    """A commit of one partition notices that another one of the lane moved back."""

    async def main() -> Stream:
        stream = Stream(2)
        stream.produce(0, event_id="first")
        async with stream.running():
            await stream.settled()
            stream.store.offsets[stream.raw[0]] = MemoryOffset(0, 0)
            stream.store.events.clear()
            stream.store.keys.clear()
            stream.store.windows.clear()
            await asyncio.sleep(CHECK_SECONDS)
            before = stream.now_ms()
            stream.produce(1, event_id="second")
            await stream.until(lambda: len(stream.store.events) == 2, "both events")
            assert stream.now_ms() - before < 5_000, "by the commit, not by the check of an idle lane"
        return stream

    run_virtually(main()).assert_balanced()


def test_offsets_are_checked_once_a_second_without_copies() -> None:
    """Commits that publish nothing read the stored offsets only once in CHECK_SECONDS; one that publishes does."""
    reads: list[int] = []

    async def main() -> Stream:
        stream = Stream()
        async with stream.running():
            for number in range(10):
                stream.produce(event_id=f"e-{number}")
                await stream.settled()
            reads.append(stream.calls["stored"])
            stream.produce(value=b"{")
            await stream.settled()
            reads.append(stream.calls["stored"])
            await asyncio.sleep(CHECK_SECONDS)
            stream.produce(event_id="late")
            await stream.settled()
            reads.append(stream.calls["stored"])
            stream.failing["commit"] = 1
            stream.produce(event_id="after an outage")
            await stream.settled()
            reads.append(stream.calls["stored"])
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert reads == [1, 2, 3, 4]
