"""OpenTelemetry spans of commits and of attempts at events, by OpenTelemetry's conventions for messaging."""

from collections.abc import Iterator, Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
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
from schemas.pipeline.outcome import Attempt, Failure, Outcomes
from schemas.pipeline.record import RawRecord
from sinks.ports import CommitResult
from telemetry.metrics import product_version

MOST_LINKS: Final = 128
"""The most links of a span that OpenTelemetry keeps."""
_NS: Final = 1_000_000
_Details = dict[str, str | int | bool]
_propagator = TraceContextTextMapPropagator()


class SettlementSpans:
    """One span for each commit, and one for each attempt at an event whose record has a sampled trace.

    An event keeps its `traceparent` through retries, dead letter and replay. All attempts at the event are therefore in
    the trace of its producer. Each attempt's span is linked with the span of its commit.
    """

    def __init__(self, provider: TracerProvider, group: str) -> None:
        self._tracer = provider.get_tracer("ghostlink-bridge", product_version())
        self._group = group

    def tell(self, committed: CommitResult, outcomes: Sequence[Outcomes], began_ms: int, ended_ms: int) -> None:
        """Record the spans of one commit. `began_ms` and `ended_ms` are in milliseconds since the epoch."""
        traced = list(_traced(committed, outcomes))
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


def _traced(
    committed: CommitResult, outcomes: Sequence[Outcomes]
) -> Iterator[tuple[SpanContext, Attempt, Failure | None]]:
    """Yield each attempt of a commit whose trace is sampled, with its failure, or with None if its event became a row.

    Failed ones come first. The attempt at an event that is a duplicate has failed.
    """
    for failure in committed.failures:
        if (context := _sampled(failure.attempt.record)) is not None:
            yield context, failure.attempt, failure
    late = {id(failure.attempt.record) for failure in committed.failures}
    for one in (candidate for batch in outcomes for candidate in batch.candidates):
        # The attempt at an event that was encoded natively is made only for a span.
        if id(one.record) not in late and (context := _sampled(one.record)) is not None:
            yield context, one.attempt, None


def _sampled(record: RawRecord) -> SpanContext | None:
    """Return the producer's span that the record's headers name, if its trace is sampled; otherwise None."""
    if not record.headers or (text := last(record.headers, TRACEPARENT)) is None:
        return None
    found = get_current_span(_propagator.extract({TRACEPARENT: text}, Context())).get_span_context()
    return found if found.is_valid and found.trace_flags.sampled else None
