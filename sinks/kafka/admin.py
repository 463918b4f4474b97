"""Queries of Kafka: its brokers and topics, the bounds of the topics' logs, and the group's offsets."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    NotCoordinatorForGroupError,
)

from schemas.config.settings import Settings
from schemas.errors import PreconditionFailed
from schemas.pipeline.audit_snapshot import LogBounds
from schemas.pipeline.record import TopicPartition
from sinks.kafka.brokers import AWAY, AdminClient
from sinks.kafka.connection import bound_scram

# The index of the group's members in the answer to DescribeGroups: after error, id, state, protocol type and protocol.
_MEMBERS = 5
_COORDINATOR_SECONDS = 0.2
ANSWER_SECONDS = 12.0
"""The longest wait for one answer, in seconds; without an answer Kafka counts as unavailable."""
MOVED_SECONDS = 20.0
"""How long Kafka may take to move leaders and coordinators off a failed broker, in seconds. Detection alone takes ten.
"""

# Called here because every module that creates a Kafka client imports this module.
bound_scram()


class TopicFacts(NamedTuple):
    """One topic in Kafka. `in_sync` has the number of in-sync replicas by partition, 0 if it has no leader."""

    partitions: int
    replication: int
    in_sync: Mapping[int, int]


class Broker(NamedTuple):
    """One broker with its advertised address."""

    node_id: int
    host: str
    port: int


class ClusterFacts(NamedTuple):
    """The Kafka cluster as its metadata describe it: its id, its brokers, and whether it has a controller."""

    cluster_id: str
    brokers: list[Broker]
    has_controller: bool


class KafkaAway(PreconditionFailed):
    """No Kafka broker answers."""


def unfit(settings: Settings, error: BaseException) -> PreconditionFailed:
    """Return the error to raise for a failure of Kafka: either no broker answers, or a broker refuses the request."""
    if isinstance(error, KafkaConnectionError | NodeNotReadyError | OSError):
        # TimeoutError is an OSError without a message.
        reason = "" if isinstance(error, KafkaError | TimeoutError) else f": {error}"
        return KafkaAway(
            f"Kafka at {settings.brokers} does not answer{reason}; start it, or correct BRIDGE_KAFKA_BOOTSTRAP_SERVERS"
        )
    return PreconditionFailed(f"Kafka at {settings.brokers} refused: {str(error).strip() or type(error).__name__}")


@contextmanager
def _without_its_log() -> Iterator[None]:
    """Silence aiokafka's log while a client connects.

    aiokafka logs each failed try as an error. The error that is raised after the last try is enough.
    """
    logger = logging.getLogger("aiokafka")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@asynccontextmanager
async def kafka_admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open an admin client for a short task; raises PreconditionFailed when Kafka is away or refuses."""
    # Shorter than the whole time limit, so that other brokers can be asked after a silent one.
    each = ANSWER_SECONDS / len(settings.brokers.split(","))
    client = AdminClient(**settings.kafka_client(), request_timeout_ms=int(each * 1000))
    try:
        with _without_its_log():
            async with asyncio.timeout(ANSWER_SECONDS):
                await client.start()
        yield client
    except (KafkaError, OSError, TimeoutError) as error:
        raise unfit(settings, error) from error
    finally:
        await client.close()


@asynccontextmanager
async def started(settings: Settings, client: AIOKafkaConsumer | AIOKafkaProducer) -> AsyncIterator[None]:
    """Start a consumer or producer, and stop it after the `with` block; raises PreconditionFailed without Kafka."""
    try:
        try:
            await client.start()
        except (KafkaError, OSError) as error:
            raise unfit(settings, error) from error
        yield
    finally:
        await client.stop()


async def topic_facts(client: AIOKafkaAdminClient) -> dict[str, TopicFacts]:
    """Return all topics in Kafka.

    The request names no topic: on brokers with automatic creation, a request for a missing topic would create it.
    """
    found: dict[str, TopicFacts] = {}
    for topic in await client.describe_topics():
        partitions: list[dict[str, Any]] = topic["partitions"]
        if topic["error_code"] == 0 and partitions:
            in_sync = {one["partition"]: len(one["isr"]) if one["leader"] >= 0 else 0 for one in partitions}
            replication = min(len(one["replicas"]) for one in partitions)
            found[topic["topic"]] = TopicFacts(len(partitions), replication, in_sync)
    return found


async def cluster_facts(client: AIOKafkaAdminClient) -> ClusterFacts:
    """Return the cluster's id and brokers."""
    told = await client.describe_cluster()
    brokers = [Broker(one["node_id"], one["host"], one["port"]) for one in told["brokers"]]
    return ClusterFacts(told["cluster_id"] or "without an id", sorted(brokers), told["controller_id"] >= 0)


async def group_has_members(settings: Settings) -> bool:
    """Return whether a worker is a member of the consumer group now; raises PreconditionFailed when Kafka is away."""
    async with kafka_admin(settings) as client, asyncio.timeout(MOVED_SECONDS):
        while True:
            try:
                described = await client.describe_consumer_groups([settings.group])
                break
            except (
                GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError, *AWAY
            ):  # fmt: skip
                # A new cluster first creates its topic of group offsets. After a failure of the coordinator's broker,
                # another broker takes over. Both take a while.
                await asyncio.sleep(_COORDINATOR_SECONDS)
    return any(group[_MEMBERS] for answer in described for group in answer.groups)


async def committed_lag(settings: Settings, topics: Iterable[str]) -> dict[str, int]:
    """Return the consumer group's lag in each topic, in records; raises PreconditionFailed.

    The lag is computed from the offsets that are committed to Kafka. These are copies; the authoritative offsets are in
    Postgres. Use this function only while Postgres is away.
    """
    async with kafka_admin(settings) as client:
        committed = await client.list_consumer_group_offsets(settings.group)
    lag: dict[str, int] = {}
    for source, log in (await log_bounds(settings, topics)).items():
        told = committed.get(KafkaPartition(*source))
        reached = log.start if told is None else max(told.offset, log.start)
        lag[source.topic] = lag.get(source.topic, 0) + max(0, log.end - reached)
    return lag


async def log_bounds(
    settings: Settings, topics: Iterable[str], *, past_open_transactions: bool = False
) -> dict[TopicPartition, LogBounds]:
    """Return the first and the end offset of each partition of those topics that exist; raises PreconditionFailed.

    The end is the last stable offset, up to which workers read. With `past_open_transactions` the end is the offset
    after the last record, even if it is in an open transaction.
    """
    wanted = await partitions_of(settings, topics)
    if not wanted:
        return {}
    async with _asking(settings, past_open_transactions=past_open_transactions) as consumer:
        starts = await consumer.beginning_offsets(wanted)
        ends = await consumer.end_offsets(wanted)
    return {TopicPartition(*one): LogBounds(starts[one], ends[one]) for one in wanted}


async def offsets_since(
    settings: Settings, sources: Iterable[tuple[str, int]], moment_ms: int
) -> dict[TopicPartition, int]:
    """Return each partition's offset of the first record with a timestamp of at least `moment_ms`, or its end offset.

    `moment_ms` is in milliseconds since the epoch. Records in and after an open transaction count, although workers
    don't read these records yet. Raises PreconditionFailed.
    """
    wanted = [KafkaPartition(*source) for source in sources]
    if not wanted:
        return {}
    async with _asking(settings, past_open_transactions=True) as consumer:
        ends = await consumer.end_offsets(wanted)
        found = await consumer.offsets_for_times(dict.fromkeys(wanted, moment_ms))
    return {TopicPartition(*one): ends[one] if found[one] is None else found[one].offset for one in wanted}


async def newest_after(settings: Settings, topics: Iterable[str], *, seconds: float) -> float | None:
    """Return by how many seconds a record's timestamp is ahead of this machine's clock, at least `seconds`.

    Return None if no record of the topics is that far ahead. Raises PreconditionFailed.
    """
    wanted = await partitions_of(settings, topics)
    if not wanted:
        return None
    async with _asking(settings) as consumer:
        now_ms = time.time_ns() // 1_000_000
        found = await consumer.offsets_for_times(dict.fromkeys(wanted, now_ms + round(seconds * 1000)))
    return max(((one.timestamp - now_ms) / 1000 for one in found.values() if one is not None), default=None)


async def partitions_of(settings: Settings, topics: Iterable[str]) -> list[KafkaPartition]:
    """Return all partitions of existing topics; raises PreconditionFailed when Kafka is away or refuses."""
    async with kafka_admin(settings) as client:
        facts = await topic_facts(client)
    return [
        KafkaPartition(topic, partition)
        for topic in sorted(set(topics) & facts.keys())
        for partition in range(facts[topic].partitions)
    ]


@asynccontextmanager
async def _asking(settings: Settings, *, past_open_transactions: bool = False) -> AsyncIterator[AIOKafkaConsumer]:
    """Open a consumer without a group, to query offsets; raises PreconditionFailed when Kafka is away or refuses."""
    consumer = AIOKafkaConsumer(
        **settings.kafka_client(),
        enable_auto_commit=False,
        isolation_level="read_uncommitted" if past_open_transactions else "read_committed",
        request_timeout_ms=int(MOVED_SECONDS * 1000),
    )
    try:
        async with asyncio.timeout(MOVED_SECONDS):
            await consumer.start()
            yield consumer
    except (KafkaError, OSError, TimeoutError) as error:
        raise unfit(settings, error) from error
    finally:
        await consumer.stop()
