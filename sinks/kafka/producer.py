"""The product's Kafka producers: their settings, how they start and end, and what their errors mean."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors
from aiokafka.errors import (
    BrokerResponseError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
)

from schemas.config.settings import Settings
from schemas.errors import PreconditionFailed, SinkUnavailable
from schemas.kafka.headers import Headers
from sinks.cooperative import Turn
from sinks.kafka.admin import started, unfit
from sinks.kafka.aiokafka_patches.codecs import compress_fast

MAX_RECORD: Final = 4 * 1024 * 1024
"""The largest size of a record before compression, in bytes. The broker's own limit applies after compression.

A request has one batch for each partition. A broker closes the connection for a request of more than 100 MiB, which
looks like an outage.
"""
BATCH_BYTES: Final = 256 * 1024
"""The largest size of a batch of one partition before compression, in bytes; a larger record has a batch to itself."""
PUBLISH_SECONDS = 60.0
START_SECONDS: Final = 12.0
_CLOSE_SECONDS: Final = 2.0

log = structlog.get_logger(__name__)


class InvalidRecordError(BrokerResponseError):  # type: ignore[misc]  # aiokafka is untyped
    """Kafka's error INVALID_RECORD, which aiokafka lacks; a record without a key in a compacted topic causes it."""

    errno = 87
    message = "INVALID_RECORD"
    description = "the broker refuses a record of the batch"


kafka_errors.kafka_errors[InvalidRecordError.errno] = InvalidRecordError

REFUSALS: Final = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidRecordError, PolicyViolationError)
"""Kafka's errors for a record's content: the same record is refused each time.

Every other error counts as an outage.
"""


def make_producer(settings: Settings, **overrides: Any) -> AIOKafkaProducer:
    """Create a producer that waits for all replicas.

    The producer is not idempotent, for two reasons:
    - Kafka does not authenticate producer ids. A client that may write to a topic can write under the id of another
      producer. Kafka then acknowledges that producer's batches as repetitions, without storing them.
    - After a batch has expired, the partition refuses every further batch of aiokafka's idempotent producer.

    The product itself detects records that Kafka has stored twice: an event by its id, a retry or a dead letter by the
    ledger (the table of failed events).
    """
    compress_fast()
    options: dict[str, Any] = {
        "acks": "all",
        "compression_type": "lz4",
        "linger_ms": 5,
        "max_request_size": MAX_RECORD,
        "max_batch_size": BATCH_BYTES,
        "request_timeout_ms": 30_000,
    }
    return AIOKafkaProducer(**settings.kafka_client(), **(options | overrides))


@asynccontextmanager
async def producing(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """Start a producer for a short task, and close it afterwards; raises PreconditionFailed if Kafka is away."""
    producer = make_producer(settings)
    async with started(settings, producer):
        yield producer


async def connect(settings: Settings, producer: AIOKafkaProducer, topic: str) -> list[int]:
    """Start the producer and return the topic's partitions.

    If Kafka is unreachable or lacks the topic, closes the producer and raises PreconditionFailed, within about
    START_SECONDS.
    """
    try:
        async with asyncio.timeout(START_SECONDS):
            await producer.start()
            cluster = await producer.client.fetch_all_metadata()
            if cluster.partitions_for_topic(topic):
                return sorted(await producer.partitions_for(topic))
        problem = PreconditionFailed(f"Kafka at {settings.brokers} has no topic {topic}: run `bridge topics apply`")
    except (KafkaError, OSError) as error:
        problem = unfit(settings, error)
        problem.__cause__ = error
    await close(producer)
    raise problem


async def close(producer: AIOKafkaProducer) -> None:
    """Close the connections to Kafka. Each step has a time limit, in case a broker is unreachable."""
    for step in (producer.stop, producer._sender.close, producer.client.close):  # noqa: SLF001 - see below
        # If stopping times out, the producer's sender and connections stay open, and no public method closes them.
        try:
            await asyncio.wait_for(step(), _CLOSE_SECONDS)
        except (KafkaError, OSError) as error:
            log.debug("producer_stop_failed", error=str(error)[:300])
        else:
            if step == producer.stop:
                return


@asynccontextmanager
async def acknowledging(what: str) -> AsyncIterator[None]:
    """Limit the time of the publishing in the `with` block, and translate Kafka's errors to SinkUnavailable.

    `what` describes the publishing in error messages.
    """
    try:
        async with asyncio.timeout(PUBLISH_SECONDS):
            yield
    except (KafkaError, OSError) as error:
        reason = str(error) or f"no answer within {PUBLISH_SECONDS:.0f} s"
        raise SinkUnavailable(f"{what}: {type(error).__name__}: {reason}") from error


def raise_outage(results: Iterable[BaseException | None]) -> None:
    """Raise the first of these errors that does not mean that Kafka refuses a record because of its content."""
    for result in results:
        if result is not None and not isinstance(result, REFUSALS):
            raise result


class Copy(NamedTuple):
    """A record to be sent to a topic. If the partition is None, the record's key determines it."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers


async def deliver(producer: AIOKafkaProducer, copies: Sequence[Copy]) -> list[BaseException | None]:
    """Send all copies and wait; return, for each copy, None if Kafka has acknowledged it, otherwise its error.

    If Kafka refuses one record, the other records in its batch fail too.
    """
    results: list[BaseException | None] = [None] * len(copies)
    sent: dict[int, asyncio.Future[Any]] = {}
    turn = Turn()
    for place, one in enumerate(copies):
        await turn.let_others()
        try:
            sent[place] = await producer.send(
                one.topic, value=one.value, key=one.key, headers=one.headers, partition=one.partition
            )
        except (KafkaError, OSError) as error:
            results[place] = error
            if not isinstance(error, REFUSALS):
                # The remaining copies would fail with the same error, after the same wait.
                results[place:] = [error] * (len(copies) - place)
                break
    for place, result in zip(sent, await asyncio.gather(*sent.values(), return_exceptions=True), strict=True):
        results[place] = result if isinstance(result, BaseException) else None
    return results
