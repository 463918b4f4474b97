"""Faust's consumer of the topic with the quality gate's verdicts.

It skips a record that can't be read, where Faust's original consumer would end the worker.
"""

import asyncio
from dataclasses import replace
from typing import Any, Final

import faust
import structlog
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer

from streams.faust_host.host import HOST_LOGGER
from streams.source.kafka import NOT_READABLE
from telemetry import metrics

_AT_ONCE: Final = 8
"""How many records are taken at once. Each may take megabytes, of which Kafka has a few hundred bytes."""
_LONGEST_BYTES: Final = 64 * 1024
"""The longest verdict. Those of the product have some kilobytes."""

log = structlog.get_logger(__name__)


class _PassingThread(AIOKafkaConsumerThread):
    """Faust's consumer thread, changed to skip unreadable records of the topic with the quality gate's verdicts.

    The product pauses a partition of events at an unreadable record. Here a pause would delay all later verdicts.
    """

    logger = HOST_LOGGER
    _tried: int | None = None

    def close(self) -> None:
        """Leave the Kafka client open until the thread stops.

        Faust calls this for a rebalance during the stop, and closes the client on the loop of the main thread. Under
        uvloop, a connection that another thread closes while it is read crashes the process.
        """

    async def _fetch_records(
        self, consumer: Any, active_partitions: Any, timeout: float | None = None, max_records: int | None = None
    ) -> Any:
        try:
            found = await super()._fetch_records(
                consumer, active_partitions, timeout, min(max_records or _AT_ONCE, _AT_ONCE)
            )
            return {partition: [_bounded(one) for one in records] for partition, records in found.items()}
        except NOT_READABLE as error:
            for partition in active_partitions:
                await self._pass(consumer, partition, error)
            return {}

    async def _pass(self, consumer: Any, partition: Any, error: Exception) -> None:
        """Read an unreadable record a second time, because damage in transit does not recur.

        Skip the record if it is unreadable again.
        """
        position = await consumer.position(partition)
        if position != self._tried:
            self._tried = position
            consumer.seek(partition, position)
            return
        consumer.seek(partition, position + 1)
        _tell(partition.topic, partition.partition, position, f"{type(error).__name__}: {error}")


def _tell(topic: str, partition: int, offset: int, error: str) -> None:
    metrics.VERDICTS_UNREADABLE.inc()
    log.error("verdict_unreadable", topic=topic, partition=partition, offset=offset, error=error)


def _bounded(record: Any) -> Any:
    """Return the record with its value only, and without a value that is too long, since Faust keeps thousands."""
    too_long = record.value is not None and len(record.value) > _LONGEST_BYTES
    if too_long:
        _tell(record.topic, record.partition, record.offset, f"its value has {len(record.value)} bytes")
    return replace(record, key=None, headers=(), value=None if too_long else record.value)


class PassingConsumer(Consumer):
    """Faust's consumer, for one topic with one partition. A read error is therefore always about this partition."""

    logger = HOST_LOGGER

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        # Faust calls across threads. A mistake in such a call crashes the process under uvloop, and not under asyncio.
        thread = _PassingThread(self, loop=self.loop, thread_loop=asyncio.SelectorEventLoop(), beacon=self.beacon)
        # The thread closes only a loop that it has made itself.
        thread._close_thread_loop_on_stop = True  # noqa: SLF001
        return thread


def pass_unreadable(app: faust.App) -> None:
    """Make the app's consumer skip, log and count records that can't be read."""
    app.transport.Consumer = PassingConsumer  # type: ignore[misc]  # declared for the class, read from the instance
