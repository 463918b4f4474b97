"""A stream in memory whose circuit breaker trips early: its limits, its paused partitions, and visitors' junk."""

from collections.abc import Sequence

from schemas.pipeline.record import TopicPartition
from schemas.pipeline.sender import Sender
from support.events.making import BRAKE_LIMITS
from support.events.sealed import gateway_headers
from support.events.stream import Stream

LIMITS = BRAKE_LIMITS._replace(min_events=20, run_length=20)


def held(stream: Stream) -> set[TopicPartition]:
    return set(stream.source.paused) & set(stream.raw)


async def braked(stream: Stream) -> None:
    await stream.until(lambda: stream.store.brake.engaged and held(stream), "the brake on and a partition held")


def waiting(stream: Stream, sources: Sequence[TopicPartition]) -> list[int]:
    return [stream.source._logs[one].end - stream.store.offsets[one].next_offset for one in sources]


def junk(stream: Stream, count: int, partition: int = 0) -> None:
    for _ in range(count):
        stream.produce(partition, value=b"{", headers=gateway_headers(b"{", sender=Sender.VISITOR))
