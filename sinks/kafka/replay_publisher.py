"""Publishing of replays: a dead letter's body is sent to the raw topic again, with headers that name the replay."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from schemas.config.settings import Settings
from schemas.errors import InvariantViolation
from schemas.kafka import headers as names
from schemas.kafka.headers import last_place
from schemas.pipeline.ledger import record_digest
from schemas.pipeline.record import Provenance, RawBody
from sinks.kafka.producer import acknowledging, producing, raise_outage


class Replayed(NamedTuple):
    """One record that a replay sends: the body (corrected or not) of the dead letter with this provenance.

    `is_replay` is True if the dead letter was itself a record of an earlier replay. The body's last two headers are
    then those of the earlier replay.
    """

    provenance: Provenance
    body: RawBody
    is_replay: bool = False


def replay_headers(one: Replayed, replay_id: str) -> list[tuple[str, bytes | None]]:
    """Return the headers of a replay's record: those of the raw event's producer, byte for byte, then the replay's.

    If several headers have the same name, the last one applies.
    """
    headers = list(one.body.headers)
    if one.is_replay:
        # The headers of the replay that this dead letter was are removed. A producer's headers of the same names, which
        # come before them, stay.
        for name in (names.REPLAY_ID, names.REPLAY_OF):
            if (place := last_place(headers, name)) is not None:
                del headers[place]
    if one.body.key is None and one.body.value is None:
        headers.append((names.NULL, b"key,value"))
    return [*headers, (names.REPLAY_ID, replay_id.encode()), (names.REPLAY_OF, str(one.provenance).encode())]


def sent_value(one: Replayed) -> bytes | None:
    """Return the value of a replay's record; empty if key and value are null, as a record of two nulls is refused."""
    return b"" if one.body.key is None and one.body.value is None else one.body.value


def sent_digest(one: Replayed, replay_id: str) -> bytes:
    """Return the digest of a replay's record, by which a worker recognises that the replay has sent the record."""
    return record_digest(one.body.key, sent_value(one), replay_headers(one, replay_id))


class ReplayPublisher:
    """Publishes the records of replays to the raw topic.

    A record's partition is that of the dead letter's raw record, modulo the raw topic's number of partitions.
    """

    def __init__(self, producer: AIOKafkaProducer, raw_topic: str, partitions: int) -> None:
        self._producer = producer
        self._raw_topic = raw_topic
        self._partitions = partitions

    async def publish(self, replay_id: str, records: Sequence[Replayed]) -> list[Replayed]:
        """Publish the records and wait; return those that Kafka refuses for their content, such as their size.

        Raises SinkUnavailable when a record is not acknowledged. It is then unknown which records Kafka has stored.
        """
        async with acknowledging("publishing replays to Kafka"):
            suspects = await self._sent(replay_id, records)
            # If one record is refused, the others in its request fail too, so each is sent again alone.
            return [one for suspect in suspects for one in await self._sent(replay_id, [suspect])]

    async def _sent(self, replay_id: str, records: Sequence[Replayed]) -> list[Replayed]:
        """Send all records of the replay and wait; return the records that Kafka refuses."""
        batches = self._batches(replay_id, records)
        results = await asyncio.gather(*map(self._delivered, batches), return_exceptions=True)
        raise_outage(results)
        return [one for batch, result in zip(batches, results, strict=True) if result for one in batch.carried]

    async def _delivered(self, batch: "_Batch") -> None:
        future = await self._producer.send_batch(batch.builder, self._raw_topic, partition=batch.partition)
        await future

    def _batches(self, replay_id: str, records: Sequence[Replayed]) -> list["_Batch"]:
        """Return the records in batches, each for one partition.

        To send single records would take several times as long.
        """
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
