"""Publishing replays: the dead letter's own bytes to the raw topic, with what it replays behind its headers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.config.settings import Settings
from schemas.errors import Defect, SinkUnavailable
from schemas.kafka import headers as names
from schemas.pipeline.ledger import record_digest
from schemas.pipeline.record import Provenance, RawBody
from sinks.kafka.admin import started
from sinks.kafka.publisher import PUBLISH_SECONDS, REFUSALS, make_producer


class Replayed(NamedTuple):
    """One record to be sent: the body, corrected or not, of the dead letter of that provenance.

    `is_replay` says that the dead letter was a replay itself: its last two headers are those of its own replay.
    """

    provenance: Provenance
    body: RawBody
    is_replay: bool = False


def replay_headers(one: Replayed, replay_id: str) -> list[tuple[str, bytes | None]]:
    """The raw event's own headers, byte for byte, then the replay's: the last one wins."""
    headers = list(one.body.headers)
    if one.is_replay:
        # Those of its own replay go; whatever a producer put there first is the producer's.
        for name in (names.REPLAY_ID, names.REPLAY_OF):
            places = [place for place, (header, _) in enumerate(headers) if header == name]
            if places:
                del headers[places[-1]]
    if one.body.key is None and one.body.value is None:
        headers.append((names.NULL, b"key,value"))
    return [*headers, (names.REPLAY_ID, replay_id.encode()), (names.REPLAY_OF, str(one.provenance).encode())]


def sent_value(one: Replayed) -> bytes | None:
    """The value of the record: Kafka takes none whose key and value are both null."""
    return b"" if one.body.key is None and one.body.value is None else one.body.value


def sent_digest(one: Replayed, replay_id: str) -> bytes:
    """The digest by which workers know the record."""
    return record_digest(one.body.key, sent_value(one), replay_headers(one, replay_id))


class ReplayPublisher:
    """Publishes to the raw topic, to the partition of the provenance modulo the count."""

    def __init__(self, producer: AIOKafkaProducer, raw_topic: str, partitions: int) -> None:
        self._producer = producer
        self._raw_topic = raw_topic
        self._partitions = partitions

    async def publish(self, replay_id: str, records: Sequence[Replayed]) -> list[Replayed]:
        """Returns when all are acknowledged, with those that Kafka refuses for what they are, such as their size.

        Raises SinkUnavailable when one is not acknowledged: nobody knows which were written.
        """
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                suspects = await self._sent(replay_id, records)
                # One that is refused takes those along that stood in one request with it.
                return [one for suspect in suspects for one in await self._sent(replay_id, [suspect])]
        except (KafkaError, OSError) as error:
            reason = str(error) or f"no answer within {PUBLISH_SECONDS:.0f} s"
            raise SinkUnavailable(f"publishing replays to Kafka: {type(error).__name__}: {reason}") from error

    async def _sent(self, replay_id: str, records: Sequence[Replayed]) -> list[Replayed]:
        """Sends all and waits; returns those that were refused."""
        batches = self._batches(replay_id, records)
        results = await asyncio.gather(*map(self._delivered, batches), return_exceptions=True)
        refused: list[Replayed] = []
        for batch, result in zip(batches, results, strict=True):
            if isinstance(result, REFUSALS):
                refused += batch.carried
            elif result is not None:
                raise result
        return refused

    async def _delivered(self, batch: "_Batch") -> None:
        future = await self._producer.send_batch(batch.builder, self._raw_topic, partition=batch.partition)
        await future

    def _batches(self, replay_id: str, records: Sequence[Replayed]) -> list["_Batch"]:
        """The records in whole batches of one partition each: handed over one by one, each costs several times as much."""
        full: list[_Batch] = []
        filling: dict[int, _Batch] = {}
        for one in records:
            partition = one.provenance.partition % self._partitions
            batch = filling.get(partition)
            if batch is None or not batch.take(one, replay_id):
                batch = filling[partition] = _Batch(partition, self._producer.create_batch(), [])
                full.append(batch)
                if not batch.take(one, replay_id):
                    raise Defect(f"{one.provenance} does not fit into an empty batch")
        return full


class _Batch(NamedTuple):
    """Records on their way to one partition."""

    partition: int
    builder: Any
    carried: list[Replayed]

    def take(self, one: Replayed, replay_id: str) -> bool:
        """Adds the record; False if there is no room for it."""
        headers = replay_headers(one, replay_id)
        if self.builder.append(timestamp=None, key=one.body.key, value=sent_value(one), headers=headers) is None:
            return False
        self.carried.append(one)
        return True


@asynccontextmanager
async def publishing_replays(settings: Settings) -> AsyncIterator[ReplayPublisher]:
    """A publisher with a producer of its own; raises EnvironmentUnfit if Kafka is away."""
    producer = make_producer(settings)
    async with started(settings, producer):
        partitions: set[int] = await producer.partitions_for(settings.topics.raw)
        yield ReplayPublisher(producer, settings.topics.raw, len(partitions))
