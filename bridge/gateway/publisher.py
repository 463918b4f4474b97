"""Records on their way to Kafka: gathered by partition, acknowledged by all replicas, and bounded in memory.

A partition has one batch in flight; what comes meanwhile is gathered for the next. aiokafka's idempotent producer tries a
batch for as long as it takes, so nothing is published twice by it, and what was promised to nobody may still arrive.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from bridge.http.problems import Code, Problem
from schemas.errors import EnvironmentUnfit
from schemas.settings import Settings
from sinks.kafka import make_producer
from sinks.kafka_admin import unfit
from sinks.murmur import partition_of

HeaderList = list[tuple[str, bytes | None]]

_START_SECONDS: Final = 12.0
_REQUEST_MS: Final = 10_000
_REPLACE_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 2.0
# A broker that takes longer over one request gets the next all the same: perhaps one partition alone holds it up.
_TOGETHER_SECONDS: Final = 0.1
# What a record takes in memory besides its bytes.
_FRAME_BYTES = 200

log = structlog.get_logger(__name__)


class Delivery:
    """The records of one request: done when all batches that hold them are acknowledged, or one of them failed."""

    __slots__ = ("_left", "_waiter", "error")

    def __init__(self) -> None:
        self._left = 0
        self._waiter: asyncio.Future[None] | None = None
        self.error: BaseException | None = None

    def joins(self) -> None:
        """One more batch holds some of them."""
        self._left += 1

    def settled(self, error: BaseException | None) -> None:
        """One of the batches was acknowledged, or failed."""
        self._left -= 1
        self.error = self.error or error
        if self._waiter is not None and not self._waiter.done() and (self._left == 0 or error is not None):
            self._waiter.set_result(None)

    async def acknowledged(self, seconds: float) -> bool:
        """Waits until Kafka has answered for all of them, but not longer; whether it has."""
        if self._left and self.error is None:
            loop = asyncio.get_running_loop()
            self._waiter = waiter = loop.create_future()
            timer = loop.call_later(seconds, _give_up, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
        return self._left == 0 and self.error is None


def _give_up(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


class _Batch:
    """Records of one partition that go together."""

    __slots__ = ("builder", "deliveries", "due", "sent_at", "size")

    def __init__(self, builder: Any, due: float) -> None:
        self.builder = builder
        self.due = due
        self.deliveries: list[Delivery] = []
        self.size = 0
        self.sent_at = 0.0

    def settle(self, error: BaseException | None) -> None:
        for delivery in self.deliveries:
            delivery.settled(error)


class _Partition:
    """What waits for one partition, oldest first, and what is in flight."""

    __slots__ = ("in_flight", "leader", "number", "open", "task", "waiting")

    def __init__(self, number: int) -> None:
        self.number = number
        self.open: _Batch | None = None
        self.waiting: deque[_Batch] = deque()
        self.in_flight: _Batch | None = None
        self.leader: int | None = None
        self.task: asyncio.Task[None] | None = None


class Publisher:
    """Publishes to the raw topic; `bytes_in_flight` are those of records that Kafka has not acknowledged."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topics.raw
        self._seconds = settings.seconds("gateway_publish_timeout")
        self._linger = settings.seconds("gateway_linger")
        self._most_bytes = settings.gateway_max_bytes_in_flight
        self._loop = asyncio.get_running_loop()
        self._producer = self._make()
        self._partitions: list[_Partition] = []
        self._tick: asyncio.TimerHandle | None = None
        self._tick_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._replacing = False
        self._keyless = 0
        self.bytes_in_flight = 0

    def _make(self) -> AIOKafkaProducer:
        return make_producer(self._settings, enable_idempotence=True, linger_ms=0, request_timeout_ms=_REQUEST_MS)

    async def start(self) -> None:
        """Connects; raises EnvironmentUnfit if Kafka is away or lacks the topic."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._producer.start()
                await self._producer.partitions_for(self._topic)
        except (KafkaError, OSError, TimeoutError) as error:
            await self._stop(self._producer)
            raise unfit(self._settings, error) from error
        self._look()
        if not self._partitions:
            await self._stop(self._producer)
            raise EnvironmentUnfit(
                f"Kafka at {self._settings.brokers} has no topic {self._topic}: run `bridge topics apply`"
            )
        self._begin(self._keep_looking())

    async def close(self) -> None:
        """Waits a moment for what is in flight, and leaves Kafka."""
        self._send_all()
        while sending := [one.task for one in self._partitions if one.task is not None]:
            done, _ = await asyncio.wait(sending, timeout=_CLOSE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stop(self._producer)

    @property
    def stuck(self) -> bool:
        """Whether a batch waits for its acknowledgement for longer than a request would."""
        limit = self._loop.time() - self._seconds
        return self._replacing or any(one.in_flight and one.in_flight.sent_at < limit for one in self._partitions)

    async def look(self) -> None:
        """Asks Kafka for its topics; raises KafkaError or OSError."""
        cluster = await self._producer.client.fetch_all_metadata()
        if not cluster.partitions_for_topic(self._topic):
            raise KafkaError(f"no topic {self._topic}")

    def room(self, count: int, size: int) -> None:
        """Raises Problem if so many records of so many bytes together can't be taken now."""
        if self._replacing:
            raise Problem(Code.KAFKA_UNAVAILABLE)
        if self.bytes_in_flight + size + count * _FRAME_BYTES > self._most_bytes:
            raise Problem(Code.OVERLOADED, "too many bytes wait for Kafka")

    def add(self, delivery: Delivery, key: bytes | None, value: bytes, headers: HeaderList) -> None:
        """Takes one record; raises Problem if its partition has not answered for long."""
        count = len(self._partitions)
        if key is None:
            self._keyless = (self._keyless + 1) % count
        partition = self._partitions[self._keyless if key is None else partition_of(key, count)]
        flying = partition.in_flight
        if flying is not None and self._loop.time() - flying.sent_at > self._seconds:
            raise Problem(Code.KAFKA_UNAVAILABLE)
        batch = partition.open
        written = batch and batch.builder.append(timestamp=None, key=key, value=value, headers=headers)
        if batch is None or written is None:
            if batch is not None:
                partition.waiting.append(batch)
            batch = partition.open = _Batch(self._producer.create_batch(), self._loop.time() + self._linger)
            written = batch.builder.append(timestamp=None, key=key, value=value, headers=headers)
            self._send_soon()
        if not batch.deliveries or batch.deliveries[-1] is not delivery:
            batch.deliveries.append(delivery)
            delivery.joins()
        # Key and headers included, which may be many times a small event.
        size = written.size + _FRAME_BYTES
        batch.size += size
        self.bytes_in_flight += size

    def _send_soon(self) -> None:
        if self._tick is None:
            self._send_at(self._loop.time() + self._linger)

    def _send_by(self, due: float) -> None:
        """What has waited for a broker's answer has been gathered for as long, and goes at once."""
        if self._tick is None or due < self._tick_at:
            self._send_at(due)

    def _send_at(self, due: float) -> None:
        if self._tick is not None:
            self._tick.cancel()
        self._tick_at = due
        self._tick = self._loop.call_at(due, self._send_all)

    def _send_all(self) -> None:
        self._tick = None
        if self._replacing:
            return
        now, cluster = self._loop.time(), self._producer.client.cluster
        busy = {
            one.leader
            for one in self._partitions
            if one.in_flight is not None and now - one.in_flight.sent_at < _TOGETHER_SECONDS
        }
        for partition in self._partitions:
            if partition.in_flight is not None or not (partition.waiting or partition.open):
                continue
            partition.leader = cluster.leader_for_partition(KafkaPartition(self._topic, partition.number))
            if partition.leader in busy:
                # What goes to one broker goes in one request: many with little in each cost it, and us, far more.
                self._send_soon()
                continue
            batch = partition.waiting.popleft() if partition.waiting else partition.open
            if batch is partition.open:
                partition.open = None
            if batch is not None:
                batch.builder.close()
                batch.sent_at = now
                partition.in_flight = batch
                partition.task = self._begin(self._send(self._producer, partition, batch))

    async def _send(self, producer: AIOKafkaProducer, partition: _Partition, batch: _Batch) -> None:
        error: BaseException | None = None
        try:
            await (await producer.send_batch(batch.builder, self._topic, partition=partition.number))
        except (KafkaError, OSError, AssertionError, asyncio.CancelledError) as problem:
            error = problem
            if isinstance(error, MessageSizeTooLargeError) and batch.builder.record_count() > 1:
                error = KafkaError("the topic takes smaller batches than this one")
        partition.in_flight = partition.task = None
        self.bytes_in_flight -= batch.size
        batch.settle(error)
        if error is None:
            if next_one := partition.waiting[0] if partition.waiting else partition.open:
                self._send_by(next_one.due)
        elif isinstance(error, asyncio.CancelledError):
            raise error
        elif producer is self._producer and not self._replacing:
            # After a refused batch this producer's numbers don't continue: Kafka would refuse it for ever.
            if not isinstance(error, MessageSizeTooLargeError):
                log.warning("producer_replaced", error=f"{type(error).__name__}: {error}"[:300])
            self._replacing = True
            self._begin(self._replace(producer))

    async def _replace(self, broken: AIOKafkaProducer) -> None:
        """Another producer for one that Kafka refuses; what waits for its turn goes with the new one."""
        self._begin(self._leave(broken, [one.task for one in self._partitions if one.task is not None]))
        while True:
            fresh = self._make()
            try:
                async with asyncio.timeout(_START_SECONDS):
                    await fresh.start()
                break
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("kafka_away", error=str(error)[:300])
                await self._stop(fresh)
                await asyncio.sleep(_REPLACE_SECONDS)
        self._producer = fresh
        self._replacing = False
        self._look()
        self._send_all()

    async def _leave(self, producer: AIOKafkaProducer, sending: "list[asyncio.Task[None]]") -> None:
        """Lets a refused producer send what it still can; nobody is told that the rest arrived."""
        await self._stop(producer)
        for task in sending:
            task.cancel()

    async def _stop(self, producer: AIOKafkaProducer) -> None:
        """Leaves Kafka, without waiting for long for a broker that is away."""
        for step in (producer.stop, producer._sender.close, producer.client.close):  # noqa: SLF001 - see below
            # A stop that is cut off leaves its sender and its connections behind, and no public way to end them.
            try:
                await asyncio.wait_for(step(), _CLOSE_SECONDS)
            except (KafkaError, OSError, TimeoutError) as error:
                log.debug("producer_not_stopped_cleanly", error=str(error)[:300])
            else:
                if step == producer.stop:
                    return

    def _begin(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._look()

    def _look(self) -> None:
        """Takes note of partitions that were added: a topic never loses any."""
        found: Sequence[int] = sorted(self._producer.client.cluster.partitions_for_topic(self._topic) or ())
        for number in found[len(self._partitions) :]:
            self._partitions.append(_Partition(number))
