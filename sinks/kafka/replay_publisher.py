"""Publishing of replays: the dead letter's own bytes to the raw topic, with the replay's headers appended."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from schemas.config.settings import Settings
from schemas.errors import InvariantViolation
from schemas.kafka import headers as names
from schemas.pipeline.ledger import record_digest
from schemas.pipeline.record import Provenance, RawBody
from sinks.kafka.producer import acknowledging, producing, raise_outage


class Replayed(NamedTuple):
    """One record to be sent: the body, corrected or not, of the dead letter with that provenance.

    `is_replay` is True if the dead letter was itself a replay: its last two headers are then those of that replay.
    """

    provenance: Provenance
    body: RawBody
    is_replay: bool = False


def replay_headers(one: Replayed, replay_id: str) -> list[tuple[str, bytes | None]]:
    """Return the raw event's own headers, byte for byte, then the replay's: of equal names the last one counts."""
    headers = list(one.body.headers)
    if one.is_replay:
        # Headers of its own replay are removed; a producer's earlier headers of these names stay.
        for name in (names.REPLAY_ID, names.REPLAY_OF):
            places = [place for place, (header, _) in enumerate(headers) if header == name]
            if places:
                del headers[places[-1]]
    if one.body.key is None and one.body.value is None:
        headers.append((names.NULL, b"key,value"))
    return [*headers, (names.REPLAY_ID, replay_id.encode()), (names.REPLAY_OF, str(one.provenance).encode())]


def sent_value(one: Replayed) -> bytes | None:
    """Return the value of the record: Kafka accepts no record whose key and value are both null."""
    return b"" if one.body.key is None and one.body.value is None else one.body.value


def sent_digest(one: Replayed, replay_id: str) -> bytes:
    """Return the digest by which workers recognise the record."""
    return record_digest(one.body.key, sent_value(one), replay_headers(one, replay_id))


class ReplayPublisher:
    """Publishes to the raw topic, to the partition of the provenance modulo the number of partitions."""

    def __init__(self, producer: AIOKafkaProducer, raw_topic: str, partitions: int) -> None:
        self._producer = producer
        self._raw_topic = raw_topic
        self._partitions = partitions

    async def publish(self, replay_id: str, records: Sequence[Replayed]) -> list[Replayed]:
        """Return when all are acknowledged, with the records that Kafka refuses for their content, such as their size.

        Raises SinkUnavailable when one is not acknowledged: it is then unknown which were written.
        """
        async with acknowledging("publishing replays to Kafka"):
            suspects = await self._sent(replay_id, records)
            # A refusal also fails the records in the same request, so each is sent again alone.
            return [one for suspect in suspects for one in await self._sent(replay_id, [suspect])]

    async def _sent(self, replay_id: str, records: Sequence[Replayed]) -> list[Replayed]:
        """Send all records and wait; return the refused ones."""
        batches = self._batches(replay_id, records)
        results = await asyncio.gather(*map(self._delivered, batches), return_exceptions=True)
        raise_outage(results)
        return [one for batch, result in zip(batches, results, strict=True) if result for one in batch.carried]

    async def _delivered(self, batch: "_Batch") -> None:
        future = await self._producer.send_batch(batch.builder, self._raw_topic, partition=batch.partition)
        await future

    def _batches(self, replay_id: str, records: Sequence[Replayed]) -> list["_Batch"]:
        """Return the records in batches of one partition each: passed one by one, each costs several times as much."""
        full: list[_Batch] = []
        filling: dict[int, _Batch] = {}
        for one in records:
            partition = one.provenance.partition % self._partitions
            batch = filling.get(partition)
            if batch is None or not batch.take(one, replay_id):
                batch = filling[partition] = _Batch(partition, self._producer.create_batch(), [])
                full.append(batch)
                if not batch.take(one, replay_id):
                    raise InvariantViolation(f"{one.provenance} does not fit into an empty batch")
        return full


class _Batch(NamedTuple):
    """Records to be sent to one partition."""

    partition: int
    builder: Any
    carried: list[Replayed]

    def take(self, one: Replayed, replay_id: str) -> bool:
        """Add the record; return False if there is no room for it."""
        headers = replay_headers(one, replay_id)
        if self.builder.append(timestamp=None, key=one.body.key, value=sent_value(one), headers=headers) is None:
            return False
        self.carried.append(one)
        return True


@asynccontextmanager
async def publishing_replays(settings: Settings) -> AsyncIterator[ReplayPublisher]:
    """Open a publisher with its own producer; raises PreconditionFailed if Kafka is away."""
    async with producing(settings) as producer:
        partitions: set[int] = await producer.partitions_for(settings.topics.raw)
        yield ReplayPublisher(producer, settings.topics.raw, len(partitions))
