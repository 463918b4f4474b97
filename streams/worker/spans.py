"""OpenTelemetry spans of commits and of attempts at events, by OpenTelemetry's conventions for messaging."""

from collections.abc import Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
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
        traced = [
            (context, attempt, failure)
            for attempt, failure in _attempts(committed, outcomes)
            if (context := _sampled(attempt.record)) is not None
        ]
        topics = sorted({one.batch.source.in_kafka.topic for one in outcomes})
        settlement = self._tracer.start_span(
            f"settle {','.join(topics)}",
            Context(),
            SpanKind.CONSUMER,
            {
                "messaging.system": "kafka",
                "messaging.operation.name": "settle",
                "messaging.operation.type": "process",
                "messaging.destination.name": ",".join(topics),
                "messaging.consumer.group.name": self._group,
                "messaging.batch.message_count": sum(len(one.batch.records) for one in outcomes),
                **{f"bridge.{name}": count for name, count in committed.tally._asdict().items()},
            },
            [Link(context) for context, _, _ in traced[:MOST_LINKS]],
            began_ms * _NS,
        )
        settlement.end(ended_ms * _NS)
        for context, attempt, failure in traced:
            self._tell_attempt(context, attempt, failure, settlement.get_span_context(), (began_ms, ended_ms))

    def _tell_attempt(
        self,
        context: SpanContext,
        attempt: Attempt,
        failure: Failure | None,
        settlement: SpanContext,
        times_ms: tuple[int, int],
    ) -> None:
        record, replay = attempt.record, attempt.replay
        span = self._tracer.start_span(
            f"attempt {record.topic}",
            set_span_in_context(NonRecordingSpan(context), Context()),
            SpanKind.CONSUMER,
            {
                "messaging.system": "kafka",
                "messaging.operation.name": "attempt",
                "messaging.operation.type": "process",
                "messaging.destination.name": record.topic,
                "messaging.destination.partition.id": str(record.partition),
                "messaging.kafka.offset": record.offset,
                "messaging.consumer.group.name": self._group,
                "bridge.provenance": str(attempt.provenance),
                "bridge.attempt": attempt.number,
                "bridge.outcome": _outcome(failure),
            },
            [Link(settlement)],
            times_ms[0] * _NS,
        )
        if replay is not None:
            span.set_attribute("bridge.replay_of", str(replay.replay_of))
        if failure is not None:
            span.set_attribute("error.type", failure.error_class.value)
            if failure.dropped_reason is not None:
                span.set_attribute("bridge.dropped_reason", failure.dropped_reason.value)
            span.set_attribute("bridge.dead_lettered", failure.has_dead_letter)
            span.set_status(Status(StatusCode.ERROR, failure.error_class.value))
        span.end(times_ms[1] * _NS)


def _outcome(failure: Failure | None) -> str:
    if failure is None:
        return "normalized"
    return "retried" if failure.dropped_reason is None else "dropped"


def _attempts(committed: CommitResult, outcomes: Sequence[Outcomes]) -> list[tuple[Attempt, Failure | None]]:
    """Return each attempt of a commit with its failure, or with None if its event became a row. Failed ones come first.

    The attempt at an event that is a duplicate has failed.
    """
    failed: list[tuple[Attempt, Failure | None]] = [(one.attempt, one) for one in committed.failures]
    late = {id(attempt) for attempt, _ in failed}
    good = (one.attempt for batch in outcomes for one in batch.candidates)
    return failed + [(attempt, None) for attempt in good if id(attempt) not in late]


def _sampled(record: RawRecord) -> SpanContext | None:
    """Return the producer's span that the record's headers name, if its trace is sampled; otherwise None."""
    if not record.headers or (text := last(record.headers, TRACEPARENT)) is None:
        return None
    found = get_current_span(_propagator.extract({TRACEPARENT: text}, Context())).get_span_context()
    return found if found.is_valid and found.trace_flags.sampled else None
