"""Publishing of raw records in whole batches, with one future for each batch instead of one for each record."""

import asyncio
import random
import time
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.config.settings import Settings
from schemas.errors import SinkUnavailable
from sinks.kafka.partitioner import partition_of
from sinks.kafka.producer import close, connect, make_producer

STALL_SECONDS: Final = 15.0
_REQUEST_MS = 12_000
_OPEN_BATCHES = 64
_SENT_BATCHES = 128

HeaderList = list[tuple[str, bytes | None]]


class RawPublisher:
    """Adds records to the raw topic. Counts the records that all replicas acknowledged, and those that Kafka refused.

    At most some tens of MiB are in flight; `add` waits for space. The key selects the partition as in every Kafka
    client.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topics.raw
        self._producer: AIOKafkaProducer = make_producer(settings, linger_ms=0, request_timeout_ms=_REQUEST_MS)
        self._partitions: list[int] = []
        self._open: dict[int, Any] = {}
        self._sent: set[asyncio.Future[Any]] = set()
        self._keyless = 0
        self._progress_at = time.monotonic()
        self.acknowledged = 0
        self.failed = 0
        self.first_error = ""

    async def start(self) -> None:
        """Connect. Raises PreconditionFailed within about 15 s if Kafka is unreachable or has no such topic."""
        self._partitions = await connect(self._settings, self._producer, self._topic)

    async def add(self, key: bytes | None, value: bytes | None, headers: HeaderList | None = None) -> None:
        """Add one record; at least one of key and value is not None.

        Raises SinkUnavailable if Kafka has become unreachable.
        """
        headers = headers or []
        partitions = self._partitions
        partition = partitions[self._keyless if key is None else partition_of(key, len(partitions))]
        batch = self._open.get(partition)
        if batch is not None and batch.append(timestamp=None, key=key, value=value, headers=headers) is not None:
            return
        if batch is not None:
            await self._submit(partition)
        elif len(self._open) >= _OPEN_BATCHES:
            await self.flush()
        self._open[partition] = batch = self._producer.create_batch()
        batch.append(timestamp=None, key=key, value=value, headers=headers)

    async def flush(self) -> None:
        """Send the collected records even if their batches are not full; raises SinkUnavailable without Kafka."""
        for partition in list(self._open):
            await self._submit(partition)

    async def settle(self) -> None:
        """Send everything, and wait until Kafka has answered for each record; raises SinkUnavailable without Kafka."""
        await self.flush()
        while self._sent:
            await asyncio.wait(self._sent, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
            self.check()

    def check(self) -> None:
        """Raise SinkUnavailable if records are in flight and Kafka has not answered for 30 seconds."""
        if self._sent and time.monotonic() - self._progress_at > STALL_SECONDS:
            raise SinkUnavailable(f"Kafka at {self._settings.brokers} has not answered for {STALL_SECONDS:g} s")

    async def close(self) -> None:
        """Close the connections without waiting for an unreachable broker.

        Unacknowledged records may have been written.
        """
        self._open.clear()
        for future in list(self._sent):
            future.cancel()
        await close(self._producer)

    async def _submit(self, partition: int) -> None:
        batch = self._open[partition]
        while len(self._sent) >= _SENT_BATCHES:
            await asyncio.wait(self._sent, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
            self.check()
        count = batch.record_count()
        if not self._sent:
            self._progress_at = time.monotonic()
        self._keyless = random.randrange(len(self._partitions))  # noqa: S311 - spreads load, hides nothing
        try:
            future = await self._producer.send_batch(batch, self._topic, partition=partition)
        except (KafkaError, OSError) as error:
            raise SinkUnavailable(
                f"Kafka at {self._settings.brokers} accepts no more records: {_reason(error)}"
            ) from error
        del self._open[partition]
        self._sent.add(future)
        future.add_done_callback(lambda done: self._answered(done, count))

    def _answered(self, future: "asyncio.Future[Any]", count: int) -> None:
        self._sent.discard(future)
        self._progress_at = time.monotonic()
        if future.cancelled():
            return
        if (error := future.exception()) is not None:
            self.failed += count
            self.first_error = self.first_error or _reason(error)
        else:
            self.acknowledged += count


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {text}"[:200] if text not in ("", name) else name
