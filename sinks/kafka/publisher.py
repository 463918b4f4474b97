"""Publishing of retry records and dead letters to Kafka, as complete as it accepts, by their provenance's partition."""

import asyncio
from collections.abc import AsyncIterator, Sequence
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
from schemas.errors import SinkUnavailable
from schemas.kafka import headers as names
from schemas.kafka.headers import MOST_HEADERS, Headers, bounded_text
from schemas.pipeline.outcome import Failure
from schemas.pipeline.record import topic_of
from sinks.cooperative import Turn
from sinks.kafka.admin import started

MAX_RECORD: Final = 4 * 1024 * 1024
"""The most bytes of a record before compression; the broker's own limit applies after compression.

A request has a batch for each partition. A broker closes the connection of a request over 100 MiB, which looks like an
outage.
"""
PUBLISH_SECONDS = 60.0
FORMS: Final[tuple[tuple[str, ...], ...]] = ((), ("value",), ("value", "key", "headers"))
"""Parts that a copy omits: from none to everything except the stream's own headers, which no producer can enlarge."""

log = structlog.get_logger(__name__)


class InvalidRecordError(BrokerResponseError):  # type: ignore[misc]  # aiokafka is untyped
    """Kafka's INVALID_RECORD, such as a record without a key for a compacted topic; aiokafka lacks this error."""

    errno = 87
    message = "INVALID_RECORD"
    description = "the broker refuses a record of the batch"


kafka_errors.kafka_errors[InvalidRecordError.errno] = InvalidRecordError

REFUSALS: Final = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidRecordError, PolicyViolationError)
"""Kafka's errors for a record's content: the same record is always refused. All other errors are an outage."""


def make_producer(settings: Settings, **overrides: Any) -> AIOKafkaProducer:
    """Create a producer that waits for all replicas.

    It is not idempotent, for two reasons. Kafka does not authenticate producer ids: whoever may write to a topic can
    write under the id of another producer, and Kafka then acknowledges that producer's batches as repetitions without
    storing them. And after a batch that expired, the partition refuses every further batch of aiokafka's idempotent
    producer. A second copy of an event is a duplicate by its id; the ledger makes a second copy of a retry stale, and
    identifies one of a dead letter.
    """
    options: dict[str, Any] = {
        "acks": "all",
        "compression_type": "lz4",
        "linger_ms": 5,
        "max_request_size": MAX_RECORD,
        "max_batch_size": 256 * 1024,
        "request_timeout_ms": 30_000,
    }
    return AIOKafkaProducer(**settings.kafka_client(), **(options | overrides))


@asynccontextmanager
async def publishing(settings: Settings) -> AsyncIterator["KafkaPublisher"]:
    """Open a publisher with its own producer for a short task; raises PreconditionFailed if Kafka is away."""
    producer = make_producer(settings)
    async with started(settings, producer):
        yield KafkaPublisher(producer, settings.topics.dlq)


def original_headers(failure: Failure) -> list[tuple[str, bytes | None]]:
    """Return the raw event's own headers: on a retry record, those before the block that the stream appended."""
    headers = list(failure.record.headers)
    if failure.attempt > 1:
        for index in range(len(headers) - 1, -1, -1):
            if headers[index][0] == names.PROVENANCE:
                return headers[:index]
    return headers


def copy_headers(failure: Failure) -> list[tuple[str, bytes | None]]:
    """Return the original headers, byte for byte, then the stream's own, provenance first: the last of a name counts.

    Omitted parts, possibly the original headers, are listed with their bytes.
    """
    original = original_headers(failure)
    own = {
        names.PROVENANCE: str(failure.provenance),
        names.ATTEMPT: str(failure.attempt + 1 if failure.dropped_reason is None else failure.attempt),
        names.RECEIVED_AT: str(failure.received_at_ms),
        names.ERROR_CLASS: failure.error_class.value,
        names.ERROR: bounded_text(failure.error),
        names.FIRST_FAILED_AT: str(failure.first_failed_at_ms),
        names.ORIGINAL_TOPIC: topic_of(failure.provenance.topic),
    }
    if failure.due_at_ms is not None:
        own[names.DUE_AT] = str(failure.due_at_ms)
    if failure.dropped_reason is not None:
        own[names.DROPPED_REASON] = failure.dropped_reason.value
    if failure.record.key is None and failure.record.value is None:
        own[names.NULL] = "key,value"
    left_out = _left_out(failure)
    if left_out:
        sizes = {
            "value": len(failure.record.value or b""),
            "key": len(failure.record.key or b""),
            "headers": sum(len(name.encode()) + len(value or b"") for name, value in original),
        }
        own[names.OMITTED] = ",".join(f"{part},{sizes[part]}" for part in left_out)
    if "headers" in left_out:
        original = []
    return original + [(name, text.encode()) for name, text in own.items()]


def _left_out(failure: Failure) -> tuple[str, ...]:
    """Return the omitted parts: very many headers take their reader thirty times their bytes in memory."""
    if len(failure.record.headers) <= MOST_HEADERS or "headers" in failure.left_out:
        return failure.left_out
    return (*failure.left_out, "headers")


class Copy(NamedTuple):
    """A record to be sent; without a partition its key chooses one."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers


def copy_of(failure: Failure, topic: str, partition: int) -> Copy:
    """Return the failure's copy in its form. Kafka accepts no record whose key and value are both null."""
    left_out = _left_out(failure)
    key = None if "key" in left_out else failure.record.key
    value = b"" if "value" in left_out else failure.record.value
    return Copy(topic, partition, key, b"" if key is None and value is None else value, copy_headers(failure))


async def deliver(producer: AIOKafkaProducer, copies: Sequence[Copy]) -> list[BaseException | None]:
    """Send all copies and wait; return None for each that Kafka acknowledged, and its error for each other one.

    A refusal also fails the records in the same batch as the refused one.
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
                # The remaining ones would only wait as long for the same error.
                results[place:] = [error] * (len(copies) - place)
                break
    for place, result in zip(sent, await asyncio.gather(*sent.values(), return_exceptions=True), strict=True):
        results[place] = result if isinstance(result, BaseException) else None
    return results


class KafkaPublisher:
    """Publishes copies with one producer, shared by all lanes."""

    def __init__(self, producer: AIOKafkaProducer, dlq_topic: str) -> None:
        self._producer = producer
        self._dlq_topic = dlq_topic

    async def publish(self, failures: Sequence[Failure]) -> None:
        due = [one for one in failures if one.due_copy]
        if not due:
            return
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                for failure, _ in await self._publish(due):
                    await self._publish_alone(failure)
        except (KafkaError, OSError) as error:
            reason = str(error) or f"no answer within {PUBLISH_SECONDS:.0f} s"
            raise SinkUnavailable(f"publishing to Kafka: {type(error).__name__}: {reason}") from error
        if refused := [one for one in due if one.refused]:
            first = refused[0]
            log.error("copies_refused", count=len(refused), first=str(first.provenance), error=first.refused)

    async def _publish(self, due: Sequence[Failure]) -> list[tuple[Failure, str]]:
        """Mark acknowledged copies as published; return the refused ones with the reasons. Raises every other error."""
        copies = [await self._copy(failure) for failure in due]
        refused: list[tuple[Failure, str]] = []
        problem: BaseException | None = None
        for failure, result in zip(due, await deliver(self._producer, copies), strict=True):
            if result is None:
                failure.published = True
            elif isinstance(result, REFUSALS):
                refused.append((failure, f"{type(result).__name__}: {result}"))
            else:
                problem = problem or result
        if problem is not None:
            raise problem
        return refused

    async def _publish_alone(self, failure: Failure) -> None:
        """Publish a refused copy alone: whole, then with more and more parts omitted, which the ledger keeps.

        If Kafka accepts no form, the failure gets the reason.
        """
        why = ""
        for form in FORMS[FORMS.index(failure.left_out) :]:
            failure.left_out = form
            refused = await self._publish([failure])
            if not refused:
                return
            why = refused[0][1]
        failure.refused = why

    async def _copy(self, failure: Failure) -> Copy:
        topic = failure.retry_topic or self._dlq_topic
        partitions: set[int] = await self._producer.partitions_for(topic)
        return copy_of(failure, topic, failure.provenance.partition % len(partitions))
