"""The memory source beyond the contract: injected faults, and waiting with any clock."""

import asyncio

import pytest
from support.memory.source import MemorySource
from support.virtual_time import run_virtually

from schemas.pipeline.record import TopicPartition
from streams.source.kafka import SourceUnavailable

PLACE = TopicPartition("t", 0)


async def test_trouble_leaves_the_chain_where_it_stood() -> None:
    """A failed poll returns no record and loses none."""
    troubles = [SourceUnavailable("away")]

    def fail() -> None:
        if troubles:
            raise troubles.pop()

    source = MemorySource([PLACE], fail=fail)
    source.append(PLACE, b"v")
    source.rewind(PLACE, 0)
    with pytest.raises(SourceUnavailable):
        await source.poll([PLACE], timeout_ms=0, max_records=1)
    (batch,) = await source.poll([PLACE], timeout_ms=0, max_records=1)
    assert [record.value for record in batch.records] == [b"v"]


def test_a_poll_waits_for_its_time_or_for_a_record() -> None:
    """A poll waits for the whole time-out unless a record arrives."""

    async def main() -> tuple[float, float]:
        source, loop = MemorySource([PLACE]), asyncio.get_running_loop()
        source.rewind(PLACE, 0)
        assert await source.poll([PLACE], timeout_ms=500, max_records=1) == []
        idle = loop.time()
        loop.call_later(0.1, source.append, PLACE, b"v")
        assert await source.poll([PLACE], timeout_ms=500, max_records=1) != []
        return idle, loop.time() - idle

    idle, woken = run_virtually(main())
    assert (idle, round(woken, 3)) == (0.5, 0.1)


async def test_another_clock_can_do_the_waiting() -> None:
    """The given clock receives the remaining seconds."""
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    source = MemorySource([PLACE], wait=wait)
    source.rewind(PLACE, 0)
    assert await source.poll([PLACE], timeout_ms=250, max_records=1) == []
    assert waits == [0.25]
