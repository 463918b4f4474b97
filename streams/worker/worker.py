"""The worker: one Kafka consumer, the lanes (tasks that commit its batches), and the objects that the lanes share.

Faust hosts the worker, but the worker does not need Faust.
"""

import asyncio
import random
import time
from functools import partial
from typing import Any

import structlog
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from schemas.config.settings import Settings
from schemas.errors import BridgeError, InvariantViolation, PreconditionFailed
from schemas.native_module import reads
from schemas.pipeline.record import TopicPartition
from sinks.kafka.brokers import BrokerLog
from sinks.kafka.producer import make_producer
from sinks.kafka.publisher import KafkaPublisher
from sinks.postgres.connection import connection
from sinks.postgres.registry.cache import RegistryCache
from sinks.postgres.replays.plans import prune
from sinks.postgres.schema.monthly_partitions import make_partitions
from sinks.postgres.sink import PostgresSink
from sinks.readiness import Needs, Readiness
from streams.pipeline.normalize import bounds_of
from streams.pipeline.trust import GatewayTrust
from streams.rules.breaker import BreakerJudge
from streams.rules.retry_policy import retry_policy
from streams.source.kafka import KafkaSource, make_consumer
from streams.source.membership import stay_member
from streams.worker.gauges import Observation
from streams.worker.lane_parts import LaneParts
from streams.worker.lanes import Lanes
from streams.worker.watchdog import Watchdog
from telemetry import metrics
from telemetry.gc_tuning import search_now_and_then

HOUSE_SECONDS = 3600.0
_CLIENT_SECONDS = 10.0

log = structlog.get_logger(__name__)


class Worker(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka's base class is untyped
    """The worker, which reads events from Kafka, processes them and commits them to Postgres until it is stopped.

    `failed` gets the error that must end the process.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = settings.topics
        self._consumer = make_consumer(settings)
        self._producer = make_producer(settings)
        self._registry = RegistryCache(settings.dsn, refresh_seconds=settings.registry_refresh.seconds)
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        source = KafkaSource(self._consumer, natively=settings.native_reader)
        proof_keys = settings.proof_keys
        self._lanes = Lanes(
            LaneParts(
                source=source,
                publisher=KafkaPublisher(self._producer, self._topics.dlq),
                make_sink=partial(
                    PostgresSink, settings.dsn, settings.group, lock_timeout=settings.lock_timeout.seconds
                ),
                registry=lambda: self._registry.current,
                trust=lambda: GatewayTrust(proof_keys, self._registry.legacy_until_ms),
                paused=lambda: self._registry.paused_partitions,
                policy=retry_policy(settings, random.random),
                bounds=bounds_of(settings),
                native=settings.native_reader,
                raw_topic=self._topics.raw,
                max_records=settings.batch_max_records,
                dedup_hints=settings.dedup_hints // settings.lanes,
                brake=BreakerJudge(settings.brake_limits, time.monotonic, self._registry.owner_of),
                brake_probe_seconds=settings.brake_probe_interval.seconds,
                random=random.random,
            ),
            count=settings.lanes,
            on_end=self._ended,
        )
        self._watchdog = Watchdog(lambda: self._lanes.lanes, settings.watchdog_budget.seconds)
        self._observation = Observation(settings, source, lambda: self._lanes.lanes)
        needs = Needs(source.cluster, self._lanes.health, self._lanes.figures, frozenset({"kafka", "postgres"}))
        self.readiness = Readiness(settings, needs)
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(self) -> None:
        """Connect to Kafka and Postgres and join the consumer group.

        Raises PreconditionFailed when a service is away.
        """
        try:
            await self._registry.load()
            await self._producer.start()
            await self._consumer.start()
        except (BridgeError, KafkaError, OSError) as error:
            await self._stop_clients()
            raise PreconditionFailed(f"a service is away at start: {error}") from error
        self._consumer._client.cluster.add_listener(BrokerLog().seen)  # noqa: SLF001  # aiokafka has no public access to it
        for work in (
            self._registry.follow(),
            self._keep_house(),
            self._watchdog.watch(self._fail),
            stay_member(self._consumer),
            search_now_and_then(),
            *self._observation.work(),
        ):
            task = asyncio.create_task(work)
            task.add_done_callback(self._ended)
            self._tasks.append(task)
        self._consumer.subscribe([self._topics.raw, *self._topics.retries], listener=self)
        read_by = reads(wanted=self._settings.native_reader)
        metrics.report_build(read_by)
        topics = [self._topics.raw, *self._topics.retries]
        log.info("worker_started", group=self._settings.group, topics=topics, reads=read_by)

    async def stop(self) -> None:
        """Finish and commit the batches in flight, and leave the consumer group."""
        log.info("worker_draining")
        await self._lanes.close(self._settings.revoke_budget.seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._watchdog.close()
        await self._stop_clients()
        log.info("worker_stopped")

    async def _stop_clients(self) -> None:
        stopping = [asyncio.ensure_future(client.stop()) for client in (self._consumer, self._producer)]
        # The tasks are not cancelled: a client's stop ignores the cancellation, and takes as long as Kafka's time-outs.
        done, late = await asyncio.wait(stopping, timeout=_CLIENT_SECONDS)
        errors: list[BaseException | None] = [one.exception() for one in done]
        errors += [TimeoutError(f"Kafka took longer than {_CLIENT_SECONDS:g} s")] * len(late)
        for error in errors:
            if isinstance(error, KafkaError | OSError):
                log.warning("client_stop_failed", error=str(error))
            elif error is not None:
                raise error

    async def on_partitions_revoked(self, _revoked: set[KafkaPartition]) -> None:
        await self._lanes.end(self._settings.revoke_budget.seconds)

    async def on_partitions_assigned(self, assigned: set[KafkaPartition]) -> None:
        # This only pauses partitions and starts lanes, so that an outage of the database does not block the rebalance.
        if assigned:
            self._consumer.pause(*assigned)
        metrics.REBALANCES.inc()
        sources = [TopicPartition(partition.topic, partition.partition) for partition in assigned]
        log.info("assigned", partitions=len(sources))
        self._lanes.begin(sources)

    async def _keep_house(self) -> None:
        while True:
            for complaint, work in (
                ("partitions_not_made", self._make_months),
                ("plans_not_pruned", self._prune_plans),
            ):
                try:
                    await work()
                except BridgeError as error:
                    log.warning(complaint, error=str(error))
            await asyncio.sleep(HOUSE_SECONDS)

    async def _make_months(self) -> None:
        async with connection(self._settings.dsn, "partitions") as conn:
            await make_partitions(self._settings.dsn, conn, self._settings.partitions_ahead)

    async def _prune_plans(self) -> None:
        keep = self._settings.replay_keep.seconds
        if keep and (pruned := await prune(self._settings.dsn, keep)):
            log.info("plans_pruned", plans=pruned)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self.failed.done():
            log.critical("worker_failed", error=str(error), kind=type(error).__name__)
            self.failed.set_exception(error if isinstance(error, Exception) else InvariantViolation(repr(error)))
