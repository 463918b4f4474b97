"""Publishing to Kafka: retry records and dead letters, whole, to the partition of their provenance."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from schemas import headers as names
from schemas.errors import SinkUnavailable
from schemas.headers import Headers, bounded_text
from schemas.outcome import Failure
from schemas.record import topic_of
from schemas.settings import Settings
from sinks.kafka_admin import started
from sinks.turn import Turn

MAX_REQUEST = 64 * 1024 * 1024
"""Before compression, which is what the client counts; the broker counts after it, and has the last word."""
PUBLISH_SECONDS = 60.0


def make_producer(settings: Settings, **overrides: Any) -> AIOKafkaProducer:
    """A producer that waits for all replicas.

    Not idempotent: after a batch that expired, aiokafka's idempotent producer is refused for ever (out of sequence) by
    that partition. A second copy of a retry is stale by the ledger, and one of a dead letter is known by it too.
    """
    options: dict[str, Any] = {
        "acks": "all",
        "compression_type": "lz4",
        "linger_ms": 5,
        "max_request_size": MAX_REQUEST,
        "max_batch_size": 256 * 1024,
        "request_timeout_ms": 30_000,
    }
    return AIOKafkaProducer(**settings.kafka_client(), **(options | overrides))


@asynccontextmanager
async def publishing(settings: Settings) -> AsyncIterator["KafkaPublisher"]:
    """A publisher with a producer of its own for a short piece of work; raises EnvironmentUnfit if Kafka is away."""
    producer = make_producer(settings)
    async with started(settings, producer):
        yield KafkaPublisher(producer, settings.topics.dlq)


def original_headers(failure: Failure) -> list[tuple[str, bytes | None]]:
    """The raw event's own headers: on a retry record, what stands before the block that the stream appended."""
    headers = list(failure.record.headers)
    if failure.attempt > 1:
        for index in range(len(headers) - 1, -1, -1):
            if headers[index][0] == names.PROVENANCE:
                return headers[:index]
    return headers


def copy_headers(failure: Failure) -> list[tuple[str, bytes | None]]:
    """The original headers, byte for byte, then the stream's own: the provenance first, and the last one wins."""
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
    return original_headers(failure) + [(name, text.encode()) for name, text in own.items()]


class KafkaPublisher:
    """Publishes copies with one producer that all lanes share."""

    def __init__(self, producer: AIOKafkaProducer, dlq_topic: str) -> None:
        self._producer = producer
        self._dlq_topic = dlq_topic

    async def publish(self, failures: Sequence[Failure]) -> None:
        due = [one for one in failures if not one.published and (one.retry_topic or one.has_dead_letter)]
        if not due:
            return
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                problems = await self._publish(due)
                too_large = [one for one, problem in problems if isinstance(problem, MessageSizeTooLargeError)]
                again = await self._publish(too_large, whole=False)
        except (KafkaError, OSError) as error:
            reason = str(error) or f"no answer within {PUBLISH_SECONDS:.0f} s"
            raise SinkUnavailable(f"publishing to Kafka: {type(error).__name__}: {reason}") from error
        for failure, problem in [*problems, *again]:
            if not failure.published:
                if isinstance(problem, KafkaError | OSError):
                    raise SinkUnavailable(f"publishing to Kafka: {type(problem).__name__}: {problem}") from problem
                raise problem

    async def _publish(self, due: Sequence[Failure], *, whole: bool = True) -> list[tuple[Failure, BaseException]]:
        """Marks what was acknowledged as published, and returns the others with what went wrong."""
        sent: list[tuple[Failure, asyncio.Future[Any]]] = []
        problems: list[tuple[Failure, BaseException]] = []
        turn = Turn()
        for failure in due:
            await turn.let_others()
            try:
                sent.append((failure, await self._send(failure, whole=whole)))
            except (KafkaError, OSError) as error:
                problems.append((failure, error))
                if not isinstance(error, MessageSizeTooLargeError):
                    # Those behind it would only wait as long for the same.
                    break
        results = await asyncio.gather(*(future for _, future in sent), return_exceptions=True)
        for (failure, _), result in zip(sent, results, strict=True):
            if isinstance(result, BaseException):
                problems.append((failure, result))
            else:
                failure.published = True
        return problems

    async def _send(self, failure: Failure, *, whole: bool) -> "asyncio.Future[Any]":
        """Hands one copy to the producer; without its value if it is larger than the topic takes."""
        topic = failure.retry_topic or self._dlq_topic
        record = failure.record
        value = b"" if record.key is None and record.value is None else record.value
        partitions: set[int] = await self._producer.partitions_for(topic)
        headers: Headers = copy_headers(failure)
        if not whole:
            # The ledger keeps it.
            headers = [*headers, (names.OMITTED, f"value,{len(value or b'')}".encode())]
            value = b""
        future: asyncio.Future[Any] = await self._producer.send(
            topic,
            value=value,
            key=record.key,
            headers=headers,
            partition=failure.provenance.partition % len(partitions),
        )
        return future
