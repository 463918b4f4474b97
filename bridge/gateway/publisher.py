"""Publishing to Kafka: records are gathered by partition, acknowledged by all replicas, and bounded in memory.

A partition has one batch in flight. Records that arrive meanwhile are gathered for the next batch. aiokafka sends a
batch again until a time-out. A record that was not acknowledged to its client may still be written. A batch whose
acknowledgement was lost may be written twice; the stream counts an event once, by its id.
"""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, Final, NamedTuple

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from bridge.gateway.admission.sender_turns import Path, Turns
from bridge.gateway.delivery import Delivery
from bridge.gateway.loop_time import LoopTime
from bridge.http.byte_budget import ByteBudget, Shares
from bridge.http.problems import Code, Problem
from schemas.config.settings import Settings
from sinks.kafka.partitioner import partition_of
from sinks.kafka.producer import BATCH_BYTES, START_SECONDS, close, connect, make_producer

HeaderList = list[tuple[str, bytes | None]]

_OWN_BYTES: Final = 150
"""Bytes of a record in addition to its value: the proof, and the id in the key and in a header."""
_REQUEST_MS: Final = 10_000
_REPLACE_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 2.0
# After this time, a broker gets the next request even without a response: one slow partition may be the cause.
_TOGETHER_SECONDS: Final = 0.1
# Memory of a record in addition to its bytes.
_FRAME_BYTES = 200
# The largest size of a record's headers and key in bytes.
_MOST_HEADER_BYTES: Final = 2048
# The approximate size of a record's headers and key in a batch.
_RECORD_BYTES: Final = 512
# Seconds of filling batches before other tasks run. Each partition's batch takes milliseconds.
_FILL_SECONDS: Final = 0.005
# Bytes that one sender adds to a batch before the other waiting senders have a turn.
_TURN_BYTES: Final = 16 * 1024

log = structlog.get_logger(__name__)


def header_bytes(shared: HeaderList) -> int:
    """Return the size in bytes that a record of a request has without its value; `shared` are the records' headers."""
    return _OWN_BYTES + sum(len(name) + len(value or b"") for name, value in shared)


class _Record(NamedTuple):
    """A record that waits for the next batch of its partition."""

    delivery: Delivery
    key: bytes | None
    value: bytes
    headers: HeaderList


class _Batch:
    """Records of one partition that are sent together."""

    __slots__ = ("_counts", "builder", "sent_at")

    def __init__(self, builder: Any, sent_at: float) -> None:
        self.builder = builder
        self.sent_at = sent_at
        self._counts: dict[Delivery, int] = {}

    def append(self, record: _Record) -> bool:
        """Add the record; returns whether it fits."""
        delivery, key, value, headers = record
        if self.builder.append(timestamp=None, key=key, value=value, headers=headers) is None:
            return False
        delivery.queued -= 1
        delivery.batched_at = self.sent_at
        self._counts[delivery] = self._counts.get(delivery, 0) + 1
        return True

    def settle(self, error: BaseException | None) -> None:
        for delivery, count in self._counts.items():
            delivery.settled(count, error)


class _Partition:
    """One partition of the raw topic: its waiting records by sender, and its batch that Kafka has not acknowledged."""

    __slots__ = ("due", "in_flight", "leader", "number", "task", "waiting")

    def __init__(self, number: int) -> None:
        self.number = number
        self.waiting: Turns[_Record] = Turns()
        self.due = 0.0
        self.in_flight: _Batch | None = None
        self.leader: int | None = None
        self.task: asyncio.Task[None] | None = None

    def fill(self, batch: _Batch) -> None:
        """Move records into the batch until it is full. The senders take turns, however many records each has."""
        waiting, is_full = self.waiting, False
        while waiting and not is_full:
            sender, records = waiting.first()
            taken = 0
            while records and taken < _TURN_BYTES and not is_full:
                if batch.append(records[0]):
                    taken += len(records.popleft().value) + _RECORD_BYTES
                else:
                    is_full = True
            if taken:
                # The record did not fit. Its sender goes first in the next batch, where the record always fits.
                waiting.end(sender)

    def is_filled_by(self, names: Path) -> bool:
        """Return whether the waiting records of the senders whose path begins with `names` fill a batch."""
        size = 0
        for record in self.waiting.waiting_of(names):
            size += len(record.value) + _RECORD_BYTES
            if size >= BATCH_BYTES:
                return True
        return False


class Publisher:
    """Publishes to the raw topic. Each partition has one batch in flight; the senders take turns to fill a batch."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topics.raw
        self._seconds = settings.gateway_publish_timeout.seconds
        self._linger = settings.gateway_linger.seconds
        most_bytes = settings.gateway_max_bytes_in_flight
        # Each share is large enough for one request of any size, if no other request uses the share.
        least = settings.gateway_max_body_bytes + settings.gateway_max_events * (_FRAME_BYTES + _MOST_HEADER_BYTES)
        self._budget = ByteBudget("bytes that wait for Kafka", most_bytes, least)
        self._loop = asyncio.get_running_loop()
        self._clock = LoopTime()
        self._producer = self._make()
        self._partitions: list[_Partition] = []
        self._tick: asyncio.TimerHandle | None = None
        self._tick_at = 0.0
        self._filling: Iterator[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._replacing = False
        self._closing = False
        """Whether no more batches are sent, because the connections are being closed."""
        self._keyless = 0

    def _make(self) -> AIOKafkaProducer:
        return make_producer(self._settings, linger_ms=0, request_timeout_ms=_REQUEST_MS)

    async def start(self) -> None:
        """Connect; raises PreconditionFailed if Kafka is unreachable or has no such topic."""
        await connect(self._settings, self._producer, self._topic)
        self._look()
        self._begin(self._keep_looking())

    async def close(self) -> None:
        """Wait a short time for the batches in flight, then close the connections to Kafka."""
        self._send_all()
        while sending := [one.task for one in self._partitions if one.task is not None]:
            done, _ = await asyncio.wait(sending, timeout=_CLOSE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
        self._closing = True
        self._clock.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await close(self._producer)

    @property
    def stuck(self) -> bool:
        """Return whether a batch has waited for its acknowledgement longer than a request would wait."""
        limit = self._clock.now() - self._seconds
        return self._replacing or any(one.in_flight and one.in_flight.sent_at < limit for one in self._partitions)

    def is_behind(self, names: Path) -> bool:
        """Return whether the waiting records of one partition, of the senders that begin with `names`, fill a batch.

        The senders take turns, so such records wait for each other, and not for records of others.
        """
        return any(one.is_filled_by(names) for one in self._partitions)

    async def look(self) -> None:
        """Check that Kafka is reachable and has the raw topic; raises KafkaError or OSError if not."""
        cluster = await self._producer.client.fetch_all_metadata()
        if not cluster.partitions_for_topic(self._topic):
            raise KafkaError(f"no topic {self._topic}")

    @property
    def bytes_in_flight(self) -> int:
        """Return the size in bytes of the records that Kafka has not acknowledged, with their overhead in memory."""
        return self._budget.taken

    def delivery(self, sender: Path, shares: Shares, count: int, size: int) -> Delivery:
        """Return the delivery of one request's `count` records, of `size` bytes in total with headers and keys.

        `sender` is the path of names (sender class, organisation, script) by which senders take turns. To enter the
        delivery's context raises Problem if the records exceed a limit of `shares`.
        """
        if self._replacing:
            raise Problem(Code.KAFKA_UNAVAILABLE)
        return Delivery(sender, self._budget.holding(shares, size + count * _FRAME_BYTES), self._clock)

    def add(self, delivery: Delivery, key: bytes | None, value: bytes, headers: HeaderList) -> None:
        """Add one record; raises Problem if Kafka has not acknowledged a batch of its partition for too long."""
        count = len(self._partitions)
        if key is None:
            self._keyless = (self._keyless + 1) % count
        partition = self._partitions[self._keyless if key is None else partition_of(key, count)]
        flying = partition.in_flight
        if flying is not None and self._clock.now() - flying.sent_at > self._seconds:
            raise Problem(Code.KAFKA_UNAVAILABLE)
        if not partition.waiting:
            partition.due = self._loop.time() + self._linger
            self._send_soon()
        partition.waiting.of(delivery.sender).append(_Record(delivery, key, value, headers))
        delivery.joins()

    def _send_soon(self) -> None:
        if self._tick is None:
            self._send_at(self._loop.time() + self._linger)

    def _send_by(self, due: float) -> None:
        """Send the waiting records at `due` (event loop time) at the latest, such as after a wait for a broker."""
        if self._tick is None or due < self._tick_at:
            self._send_at(due)

    def _send_at(self, due: float) -> None:
        if self._tick is not None:
            self._tick.cancel()
        self._tick_at = due
        self._tick = self._loop.call_at(due, self._send_all)

    def _send_all(self) -> None:
        """Start to send the waiting records. If this takes long, it continues in the next iteration of the loop."""
        self._tick = None
        goes_on = self._filling is not None
        self._filling = self._filling or self._fill_all()
        ends = self._loop.time() + _FILL_SECONDS
        for _ in self._filling:
            if self._loop.time() >= ends:
                self._send_at(self._loop.time())
                return
        self._filling = None
        if goes_on:
            # Meanwhile records have arrived for partitions whose batches were filled already.
            self._send_soon()

    def _fill_all(self) -> Iterator[None]:
        """Fill and send a batch of each partition's waiting records; yields after each batch."""
        now, cluster = self._clock.now(), self._producer.client.cluster
        busy = {
            one.leader
            for one in self._partitions
            if one.in_flight is not None and now - one.in_flight.sent_at < _TOGETHER_SECONDS
        }
        for partition in self._partitions:
            if self._replacing or self._closing:
                return
            if partition.in_flight is not None or not partition.waiting:
                continue
            partition.leader = cluster.leader_for_partition(KafkaPartition(self._topic, partition.number))
            if partition.leader in busy:
                # Batches for one broker are sent in one request. Many small requests would cost the broker and the
                # gateway far more.
                self._send_soon()
                continue
            batch = partition.in_flight = _Batch(self._producer.create_batch(), now)
            partition.fill(batch)
            batch.builder.close()
            partition.task = self._begin(self._send(self._producer, partition, batch))
            yield

    async def _send(self, producer: AIOKafkaProducer, partition: _Partition, batch: _Batch) -> None:
        error: BaseException | None = None
        try:
            await (await producer.send_batch(batch.builder, self._topic, partition=partition.number))
        except (KafkaError, OSError, AssertionError, asyncio.CancelledError) as problem:
            error = problem
        too_large = isinstance(error, MessageSizeTooLargeError)
        partition.in_flight = partition.task = None
        if too_large and batch.builder.record_count() > 1:
            batch.settle(KafkaError("the topic takes smaller batches than this one"))
        else:
            batch.settle(error)
        if error is None or too_large:
            if partition.waiting:
                self._send_by(partition.due)
        elif isinstance(error, asyncio.CancelledError):
            raise error
        elif producer is self._producer and not self._replacing:
            # A new producer starts from the configured brokers: those that this one knows may all have been replaced.
            log.warning("producer_replaced", error=f"{type(error).__name__}: {error}"[:300])
            self._replacing = True
            self._begin(self._replace(producer))

    async def _replace(self, broken: AIOKafkaProducer) -> None:
        """Replace a producer that failed to send a batch. The new one sends the waiting records."""
        self._begin(self._leave(broken, [one.task for one in self._partitions if one.task is not None]))
        while True:
            fresh = self._make()
            try:
                async with asyncio.timeout(START_SECONDS):
                    await fresh.start()
                break
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("kafka_away", error=str(error)[:300])
                await close(fresh)
                await asyncio.sleep(_REPLACE_SECONDS)
        self._producer = fresh
        self._replacing = False
        self._look()
        self._send_all()

    async def _leave(self, producer: AIOKafkaProducer, sending: "list[asyncio.Task[None]]") -> None:
        """Close a failed producer after it has sent what it can. Requests whose records it did not send fail."""
        await close(producer)
        for task in sending:
            task.cancel()

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
        """Add partitions of the topic that were created since the last look. A topic never loses partitions."""
        found: Sequence[int] = sorted(self._producer.client.cluster.partitions_for_topic(self._topic) or ())
        for number in found[len(self._partitions) :]:
            self._partitions.append(_Partition(number))
