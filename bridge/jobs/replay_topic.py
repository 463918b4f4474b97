"""`bridge dlq replay --from-topic` as a job: sends external dead letters to the raw topic.

External dead letters are records that another program, such as Spring or Kafka Connect, has dead-lettered. They are not
in the ledger, this product's table of failed events.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError

from bridge.cli.common import say
from bridge.jobs.frame import Job
from bridge.jobs.pace import Pace
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.replay import TopicReplaySummary
from schemas.errors import InvalidInput, PreconditionFailed, SinkUnavailable
from schemas.instants import to_epoch_ms
from schemas.pipeline.record import Provenance, RawRecord
from sinks.kafka.admin import partitions_of, started
from sinks.kafka.aiokafka_patches.codecs import bound_inflation
from sinks.kafka.aiokafka_patches.reads import count_anew
from sinks.kafka.producer import Copy, deliver, producing, raise_outage
from sinks.postgres.registry.cache import RegistryCache
from sinks.postgres.sink import PostgresSink
from streams.pipeline.normalize import bounds_of
from streams.pipeline.reading import read_event
from streams.pipeline.rejection import Rejection
from streams.pipeline.trust import GatewayTrust
from streams.rules.external_dead_letter import ExternalDeadLetter, original
from streams.source.kafka import NOT_READABLE

BATCH: Final = 500
POLL_MS: Final = 500


def replay_topic_job(settings: Settings, topic: str, rate: float) -> Job[TopicReplaySummary]:
    """Return the job that replays a topic of external dead letters, up to its end offsets at the start of the run.

    `rate` is in records a second, 0 for no limit. When Kafka has acknowledged a batch, the job commits the offset after
    the batch for a consumer group, and the next run continues at that offset. Records that a killed run had sent but
    not committed are sent twice; the dedup by event id drops the second copies. Raises InvalidInput for a topic of this
    product: its records are not trusted unless the ledger (the table of failed events) has them.
    """
    if settings.topics.has(topic):
        raise InvalidInput(_own(topic, settings))

    async def work(run: Run[TopicReplaySummary]) -> None:
        run.summary.topic = topic
        partitions = await partitions_of(settings, [topic])
        if not partitions:
            raise InvalidInput(f"--from-topic: Kafka has no topic {topic!r}")
        await run.begins()
        registry = await RegistryCache.loaded(settings)
        pace = Pace(rate, time.monotonic)
        try:
            async with (
                aclosing(PostgresSink(settings.dsn, settings.group)) as sink,
                _reading(settings, topic) as consumer,
                producing(settings) as producer,
            ):
                with run.target(f"topic:{topic}"):
                    async for records in _batches(consumer, partitions, pace):
                        await _replayed(settings, run, sink, producer, registry, records)
                        pace.sent(len(records))
                        if not run.dry_run:
                            await consumer.commit({one: await consumer.position(one) for one in partitions})
                        say(f"{run.summary.processed_total} records read, {run.summary.sent_total} sent")
        except (KafkaError, OSError) as error:
            raise SinkUnavailable(f"replaying {topic}: {type(error).__name__}: {error}; run the same again") from error

    return Job("dlq-replay-topic", TopicReplaySummary, work, quiet=True)


def _own(topic: str, settings: Settings) -> str:
    if topic == settings.topics.raw:
        return f"--from-topic: {topic} is the raw topic, to which the replay sends; give the topic of another program's dead letters"
    return (
        f"--from-topic: {topic} is a topic of this product. Its records are not trusted, because every account that may write to it "
        "could forge them. Choose dead letters from the ledger with `bridge dlq plan`, and send them with `bridge dlq replay PLAN`"
    )


@asynccontextmanager
async def _reading(settings: Settings, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    bound_inflation(settings.inflate_max_bytes)
    consumer = AIOKafkaConsumer(
        **settings.kafka_client(),
        group_id=f"{settings.group}.replay.{topic}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    async with started(settings, consumer):
        yield consumer


async def _batches(
    consumer: AIOKafkaConsumer, partitions: Sequence[KafkaPartition], pace: Pace
) -> AsyncIterator[Sequence[RawRecord]]:
    """Yield all records up to the end offsets at the start, at the rate of `pace`.

    After the last record, the consumer's positions equal these end offsets. A partition is read up to its first
    unreadable record; PreconditionFailed is then raised after all other records.
    """
    consumer.assign(partitions)
    ends: dict[KafkaPartition, int] = await consumer.end_offsets(partitions)
    failed: dict[KafkaPartition, str] = {}
    while left := [one for one in partitions if one not in failed and await consumer.position(one) < ends[one]]:
        for partition in left:
            try:
                records = await _read(consumer, partition, pace.batch(BATCH))
            except PreconditionFailed as error:
                failed[partition] = str(error)
                continue
            if records:
                yield records
            await asyncio.sleep(max(0.0, pace.seconds_to_wait()))
    if failed:
        raise PreconditionFailed(
            f"{'; '.join(failed.values())}. Set the offset of the replay's consumer group past what is not needed, with Kafka's "
            "tools, and run the same again"
        )


async def _read(consumer: AIOKafkaConsumer, partition: KafkaPartition, most: int) -> Sequence[RawRecord]:
    """Return the partition's next records, those before an unreadable one; raises PreconditionFailed at this one."""
    offset = await consumer.position(partition)
    count_anew()
    try:
        found: dict[KafkaPartition, list[Any]] = await consumer.getmany(partition, timeout_ms=POLL_MS, max_records=most)
    except NOT_READABLE as error:
        consumer.seek(partition, offset)
        if most > 1:
            # A larger read that meets the unreadable record discards the records before it.
            return await _read(consumer, partition, 1)
        raise PreconditionFailed(
            f"{partition.topic}:{partition.partition}: the record at offset {offset} can't be read: {error}"
        ) from error
    return found.get(partition, [])


async def _replayed(
    settings: Settings,
    run: Run[TopicReplaySummary],
    sink: PostgresSink,
    producer: AIOKafkaProducer,
    registry: RegistryCache,
    records: Sequence[RawRecord],
) -> None:
    """Forecast and count the outcomes of these records, and send those that are not in the ledger of failed events."""
    summary = run.summary
    found = [original(record) for record in records]
    known = await sink.ledger([one.provenance for one in found if one.provenance is not None])
    ours = [one for one in found if one.provenance in known]
    strangers = [one for one in found if one.provenance not in known and one.is_whole]
    verdicts = Counter(_verdict(settings, one, registry) for one in strangers)
    summary.processed_total += len(found)
    summary.in_the_ledger += len(ours)
    summary.without_value += len(found) - len(ours) - len(strangers)
    summary.forecast = dict(Counter(summary.forecast) + verdicts)
    if not run.dry_run:
        count = len(await producer.partitions_for(settings.topics.raw))
        copies = [
            Copy(
                settings.topics.raw,
                None if one.partition is None else one.partition % count,
                one.key,
                b"" if one.key is None and one.value is None else one.value,
                list(one.headers),
            )
            for one in strangers
        ]
        # A refused record fails its whole batch, so each record of the batch is sent once more in a batch of its own.
        suspects = await _refused(producer, copies)
        refused = sum([len(await _refused(producer, [copy])) for copy in suspects])
        summary.sent_total += len(copies) - refused
        summary.refused += refused


async def _refused(producer: AIOKafkaProducer, copies: Sequence[Copy]) -> list[Copy]:
    """Send copies of the records; return those that Kafka refuses because of their content. Raises every other error."""
    results = await deliver(producer, copies)
    raise_outage(results)
    return [copy for copy, problem in zip(copies, results, strict=True) if problem is not None]


def _verdict(settings: Settings, one: ExternalDeadLetter, registry: RegistryCache) -> str:
    now = datetime.now(UTC)
    found = GatewayTrust(settings.proof_keys, registry.legacy_until_ms).of_raw(
        dict(one.headers), one.value, to_epoch_ms(now)
    )
    try:
        read_event(
            one.value,
            found.checked(),
            now,
            one.provenance or Provenance(settings.topics.raw, 0, 0),
            registry.current,
            bounds_of(settings),
        )
    except Rejection as rejection:
        return rejection.error_class.value
    return "passes"
