"""Publishing of failed events to Kafka: copies of raw records, on a retry topic or on the dead-letter topic.

A copy goes to the partition with the same number as the raw record's partition. If Kafka refuses a copy, more and more
parts of the copy are omitted until Kafka accepts it.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer

from schemas.config.settings import Settings
from schemas.instants import to_epoch_ms
from schemas.kafka import headers as names
from schemas.kafka.headers import MOST_HEADERS, bounded_text, last_place
from schemas.pipeline.outcome import Failure
from schemas.pipeline.record import topic_of
from sinks.kafka.producer import Copy, acknowledging, deliver, producing, raise_outage

FORMS: Final[tuple[tuple[str, ...], ...]] = ((), ("value",), ("value", "key", "headers"))
"""The parts that a copy omits, from none to everything except the product's own headers.

No producer can make these larger.
"""

log = structlog.get_logger(__name__)


@asynccontextmanager
async def publishing(settings: Settings) -> AsyncIterator["KafkaPublisher"]:
    """Start a publisher with a producer of its own for a short task; raises PreconditionFailed if Kafka is away."""
    async with producing(settings) as producer:
        yield KafkaPublisher(producer, settings.topics.dlq)


def original_headers(failure: Failure) -> list[tuple[str, bytes | None]]:
    """Return the headers that the raw event's producer set.

    A retry record has more headers: this product has appended its own after those of the producer.
    """
    headers = list(failure.attempt.record.headers)
    appended = last_place(headers, names.PROVENANCE) if failure.attempt.number > 1 else None
    return headers[:appended]


def copy_headers(failure: Failure) -> list[tuple[str, bytes | None]]:
    """Return the headers of the copy of a failed event: those of the producer, byte for byte, then the product's own.

    The product's first header is the provenance. Of several headers with the same name, the last one applies. If parts
    of the copy are omitted, perhaps the producer's headers too, one header lists these parts with their sizes in bytes.
    """
    original = original_headers(failure)
    own = {
        names.PROVENANCE: str(failure.attempt.provenance),
        names.ATTEMPT: str(failure.attempt.number + 1 if failure.dropped_reason is None else failure.attempt.number),
        names.RECEIVED_AT: str(to_epoch_ms(failure.attempt.received_at)),
        names.ERROR_CLASS: failure.error_class.value,
        names.ERROR: bounded_text(failure.error),
        names.FIRST_FAILED_AT: str(failure.attempt.first_failed_at_ms),
        names.ORIGINAL_TOPIC: topic_of(failure.attempt.provenance.topic),
    }
    if failure.due_at_ms is not None:
        own[names.DUE_AT] = str(failure.due_at_ms)
    if failure.dropped_reason is not None:
        own[names.DROPPED_REASON] = failure.dropped_reason.value
    if failure.attempt.record.key is None and failure.attempt.record.value is None:
        own[names.NULL] = "key,value"
    left_out = _left_out(failure)
    if left_out:
        sizes = {
            "value": len(failure.attempt.record.value or b""),
            "key": len(failure.attempt.record.key or b""),
            "headers": sum(len(name.encode()) + len(value or b"") for name, value in original),
        }
        own[names.OMITTED] = ",".join(f"{part},{sizes[part]}" for part in left_out)
    if "headers" in left_out:
        original = []
    return original + [(name, text.encode()) for name, text in own.items()]


def _left_out(failure: Failure) -> tuple[str, ...]:
    """Return the names of the parts that the copy of a failed event omits.

    Headers are also omitted if there are very many: a reader needs thirty times their size in memory.
    """
    if len(failure.attempt.record.headers) <= MOST_HEADERS or "headers" in failure.left_out:
        return failure.left_out
    return (*failure.left_out, "headers")


def copy_of(failure: Failure, topic: str, partition: int) -> Copy:
    """Return the copy of a failed event as a record to be sent to a retry topic or the dead-letter topic.

    If key and value are null, the copy's value is empty, as a record with two nulls is refused.
    """
    left_out = _left_out(failure)
    key = None if "key" in left_out else failure.attempt.record.key
    value = b"" if "value" in left_out else failure.attempt.record.value
    return Copy(topic, partition, key, b"" if key is None and value is None else value, copy_headers(failure))


class KafkaPublisher:
    """Publishes copies of failed events, with one Kafka producer that all lanes (a worker's committing tasks) share."""

    def __init__(self, producer: AIOKafkaProducer, dlq_topic: str) -> None:
        self._producer = producer
        self._dlq_topic = dlq_topic

    async def publish(self, failures: Sequence[Failure]) -> None:
        due = [one for one in failures if one.due_copy]
        if not due:
            return
        async with acknowledging("publishing to Kafka"):
            for failure, _ in await self._publish(due):
                await self._publish_alone(failure)
        if refused := [one for one in due if one.refused]:
            first = refused[0]
            log.error("copies_refused", count=len(refused), first=str(first.attempt.provenance), error=first.refused)

    async def _publish(self, due: Sequence[Failure]) -> list[tuple[Failure, str]]:
        """Send copies of failed events, and mark an event as published when Kafka has acknowledged its copy.

        Return the events whose copies Kafka refuses because of their content, with the reasons. Raises every other
        error.
        """
        results = await deliver(self._producer, [await self._copy(failure) for failure in due])
        refused = []
        for failure, result in zip(due, results, strict=True):
            if result is None:
                failure.published = True
            else:
                refused.append((failure, f"{type(result).__name__}: {result}"))
        raise_outage(results)
        return refused

    async def _publish_alone(self, failure: Failure) -> None:
        """Publish a failed event's refused copy alone: first unchanged, then with more and more parts omitted.

        The ledger (the table of failed events) keeps the omitted parts. If Kafka refuses every copy, the failure's
        `refused` gets the reason.
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
        return copy_of(failure, topic, failure.attempt.provenance.partition % len(partitions))
