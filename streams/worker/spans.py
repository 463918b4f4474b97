"""OpenTelemetry spans of commits and of attempts at events, by OpenTelemetry's conventions for messaging."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from schemas.kafka.headers import TRACEPARENT, last
from schemas.pipeline.outcome import Attempt, Candidate, Failure, Outcomes
from schemas.pipeline.record import Provenance, RawRecord
from schemas.pipeline.sender import Sender
from sinks.ports import CommitResult
from telemetry.metrics import product_version

MOST_LINKS: Final = 128
"""The most links of a span that OpenTelemetry keeps."""
_NS: Final = 1_000_000
_Details = dict[str, str | int | bool]
_propagator = TraceContextTextMapPropagator()


class SettlementSpans:
    """One span for each commit, and one for each attempt at an event whose record has a sampled trace.

    A gateway has decided by OTEL_TRACES_SAMPLER whether the trace of its record is sampled. Whether that of another
    record is, its producer and OTEL_TRACES_SAMPLER of the worker decide together.

    An event keeps its `traceparent` through retries, dead letter and replay. All attempts at the event are therefore in
    the trace of its producer. Each attempt's span is linked with the span of its commit.
    """

    def __init__(self, provider: TracerProvider, group: str) -> None:
        self._tracer = provider.get_tracer("ghostlink-bridge", product_version())
        self._sampler = provider.sampler
        self._group = group

    def tell(self, committed: CommitResult, outcomes: Sequence[Outcomes], began_ms: int, ended_ms: int) -> None:
        """Record the spans of one commit. `began_ms` and `ended_ms` are in milliseconds since the epoch."""
        traced = [
            (context, one.attempt, one if isinstance(one, Failure) else None)
            for record, one in _tried(committed, outcomes)
            # The attempt at an event that was encoded natively is made only for a span.
            if (context := _sampled(record)) is not None
            and (_is_vouched(one.sender) or self._samples(one.attempt.provenance))
        ]
        topics = ",".join(sorted({one.batch.source.in_kafka.topic for one in outcomes}))
        details: _Details = {f"bridge.{name}": count for name, count in committed.tally._asdict().items()}
        details["messaging.batch.message_count"] = sum(len(one.batch.records) for one in outcomes)
        links = [Link(context) for context, _, _ in traced[:MOST_LINKS]]
        settlement = self._started("settle", topics, Context(), details, links, began_ms)
        settlement.end(ended_ms * _NS)
        link = Link(settlement.get_span_context())
        for context, attempt, failure in traced:
            details = _details(attempt, failure)
            parent = set_span_in_context(NonRecordingSpan(context), Context())
            span = self._started("attempt", attempt.record.topic, parent, details, [link], began_ms)
            if failure is not None:
                span.set_status(Status(StatusCode.ERROR, failure.error_class.value))
            span.end(ended_ms * _NS)

    def _samples(self, provenance: Provenance) -> bool:
        """Return whether the sampler would sample a trace that begins with the event: the same for all its attempts.

        A ratio is taken of an id that no producer has chosen.
        """
        own_id = int.from_bytes(blake2b(str(provenance).encode(), digest_size=16).digest())
        found = self._sampler.should_sample(Context(), own_id, "attempt", SpanKind.CONSUMER)
        return found.decision is Decision.RECORD_AND_SAMPLE

    def _started(
        self, operation: str, topics: str, parent: Context, details: _Details, links: Sequence[Link], began_ms: int
    ) -> Span:
        attributes = {
            "messaging.system": "kafka",
            "messaging.operation.name": operation,
            "messaging.operation.type": "process",
            "messaging.destination.name": topics,
            "messaging.consumer.group.name": self._group,
            **details,
        }
        name = f"{operation} {topics}"
        return self._tracer.start_span(name, parent, SpanKind.CONSUMER, attributes, links, began_ms * _NS)


def _details(attempt: Attempt, failure: Failure | None) -> _Details:
    found: _Details = {
        "messaging.destination.partition.id": str(attempt.record.partition),
        "messaging.kafka.offset": attempt.record.offset,
        "bridge.provenance": str(attempt.provenance),
        "bridge.attempt": attempt.number,
        "bridge.outcome": _outcome(failure),
    }
    if attempt.replay is not None:
        found["bridge.replay_of"] = str(attempt.replay.replay_of)
    if failure is not None:
        found["error.type"] = failure.error_class.value
        if failure.dropped_reason is not None:
            found["bridge.dropped_reason"] = failure.dropped_reason.value
        found["bridge.dead_lettered"] = failure.has_dead_letter
    return found


def _outcome(failure: Failure | None) -> str:
    if failure is None:
        return "normalized"
    return "retried" if failure.dropped_reason is None else "dropped"


def _tried(committed: CommitResult, outcomes: Sequence[Outcomes]) -> Iterator[tuple[RawRecord, Failure | Candidate]]:
    """Yield the record of each attempt of a commit with its failure, or with its event if that became a row.

    Failed ones come first. The attempt at an event that is a duplicate has failed.
    """
    failed = [(one.attempt.record, one) for one in committed.failures]
    yield from failed
    late = {id(record) for record, _ in failed}
    good = ((one.record, one) for batch in outcomes for one in batch.candidates)
    yield from ((record, one) for record, one in good if id(record) not in late)


def _is_vouched(sender: Sender | None) -> bool:
    """Return whether a gateway has vouched for the event's sender class, so that the flag in its record is its decision."""
    return sender in (Sender.VISITOR, Sender.SERVER)


def _sampled(record: RawRecord) -> SpanContext | None:
    """Return the producer's span that the record's headers name, if its trace is sampled; otherwise None."""
    if not record.headers or (text := last(record.headers, TRACEPARENT)) is None:
        return None
    found = get_current_span(_propagator.extract({TRACEPARENT: text}, Context())).get_span_context()
    return found if found.is_valid and found.trace_flags.sampled else None
