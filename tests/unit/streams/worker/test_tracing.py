"""One event through its retries, its dead letter and its replay, in its producer's trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import DEFAULT_OFF, DEFAULT_ON, Decision, Sampler, SamplingResult
from support.events.making import DLQ, RAW, RETRY_1, RETRY_2, body
from support.events.sealed import gateway_headers
from support.events.stream import Stream
from support.virtual_time import run_virtually

from schemas.kafka.headers import TRACEPARENT
from schemas.pipeline.sender import Sender
from streams.worker import tracing
from streams.worker.spans import SettlementSpans

TRACE = 0xAF7651916CD43DD8448EB211C80319C7
PARENT = 0xB7AD6B7169203331
SAMPLED = f"00-{TRACE:032x}-{PARENT:016x}-01"
REPLAY_ID = "6f2d1e34-8a53-4a57-9d0b-0d5a3c0f8f11"


@contextmanager
def traced(sampler: Sampler) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.trace_by(SettlementSpans(provider, "group").tell)
    yield exporter
    tracing.trace_by(None)
    provider.shutdown()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    with traced(DEFAULT_ON) as exporter:
        yield exporter


def send(stream: Stream, *headers: tuple[str, bytes], **changed: object) -> int:
    value = body(occurred_at=stream.now_ms(), **changed)
    record = stream.source.append(stream.raw[0], value, key=b"k", headers=tuple(headers), timestamp=stream.now_ms())
    return record.offset


def test_one_event_is_followed_through_retry_dead_letter_and_replay(spans: InMemorySpanExporter) -> None:
    """Every attempt is a child of the producer's span, has its outcome and links to its commit."""

    async def story() -> None:
        stream = Stream()
        async with stream.running():
            send(stream, (TRACEPARENT, SAMPLED.encode()), script_id="late")
            await stream.settled()
            (letter,) = stream.dead_letters()
            assert dict(letter.headers)[TRACEPARENT] == SAMPLED.encode()
            (row,) = stream.store.ledger.values()
            row.disposition, row.replay_id = "claimed", REPLAY_ID
            replayed = [(TRACEPARENT, dict(letter.headers)[TRACEPARENT] or b"")]
            replayed += [("bridge-replay-id", REPLAY_ID.encode()), ("bridge-replay-of", f"{RAW}:0:0".encode())]
            send(stream, *replayed)
            await stream.settled()
            assert row.disposition == "replayed"

    run_virtually(story())
    attempts = [span for span in spans.get_finished_spans() if span.name.startswith("attempt")]
    settlements = {span.context.span_id: span for span in spans.get_finished_spans() if span.name.startswith("settle")}

    assert [(span.name, span.attributes["bridge.attempt"], span.attributes["bridge.outcome"]) for span in attempts] == [
        (f"attempt {RAW}", 1, "retried"),
        (f"attempt {RETRY_1}", 2, "retried"),
        (f"attempt {RETRY_2}", 3, "dropped"),
        (f"attempt {RAW}", 1, "normalized"),
    ]
    for span in attempts:
        assert (span.context.trace_id, span.parent.span_id) == (TRACE, PARENT)
        (link,) = span.links
        assert TRACE in {one.context.trace_id for one in settlements[link.context.span_id].links}
    dropped = attempts[2].attributes
    assert (dropped["bridge.dropped_reason"], dropped["error.type"]) == ("retry_exhausted", "unknown_script")
    assert dropped["bridge.dead_lettered"] is True
    assert DLQ not in {span.attributes["messaging.destination.name"] for span in attempts}


def test_only_what_is_sampled_is_told_apart(spans: InMemorySpanExporter) -> None:
    """Events without a sampled trace share the commit's span, for every header value."""

    async def story() -> None:
        stream = Stream(max_records=1000)
        for number in range(100):
            send(stream, event_id=f"plain-{number}")
        send(stream, (TRACEPARENT, SAMPLED[:-1].encode() + b"0"), event_id="not sampled")
        send(stream, (TRACEPARENT, b"\xff\xfe nonsense"), event_id="not a trace")
        async with stream.running():
            await stream.settled()

    run_virtually(story())

    assert {span.name for span in spans.get_finished_spans()} == {f"settle {RAW}"}
    assert [span.links for span in spans.get_finished_spans() if span.links] == []


def attempts(spans: InMemorySpanExporter) -> list[str]:
    """The outcomes of the attempts that have a span."""
    return [
        str(span.attributes["bridge.outcome"])
        for span in spans.get_finished_spans()
        if span.name.startswith("attempt") and span.attributes is not None
    ]


async def sent_by_all(script: str) -> None:
    """Commit an event of a Kafka producer and one of the gateway, both in sampled traces, with that script id."""
    stream = Stream()
    plain = (TRACEPARENT, SAMPLED.encode())
    async with stream.running():
        send(stream, plain, event_id="a", script_id=script)
        value = body(occurred_at=stream.now_ms(), event_id="b", script_id=script)
        proven = (plain, *gateway_headers(value, script_id=script, sender=Sender.VISITOR))
        stream.source.append(stream.raw[0], value, key=b"k", headers=proven, timestamp=stream.now_ms())
        await stream.settled()


def test_the_sampler_limits_what_a_kafka_producer_has_traced() -> None:
    """Otherwise its flag would decide on the spans of each event, of attempts that fail and that do not.

    The gateway's records have the decision of the gateway's sampler.
    """
    for script in ("shop", "late"):
        with traced(DEFAULT_ON) as spans:
            run_virtually(sent_by_all(script))
            everything = attempts(spans)
        with traced(DEFAULT_OFF) as spans:
            run_virtually(sent_by_all(script))
            assert len(attempts(spans)) * 2 == len(everything) > 0


def test_all_attempts_at_an_event_are_sampled_alike_and_not_by_its_trace_id() -> None:
    """A producer chooses the trace id, and could choose one that a sampler of ratios selects."""
    asked = []

    class Asked(Sampler):
        def should_sample(self, parent_context: Any, trace_id: int, name: str, *_: Any, **__: Any) -> SamplingResult:
            if name.startswith("attempt"):
                asked.append(trace_id)
            return SamplingResult(Decision.DROP)

        def get_description(self) -> str:
            return "asked"

    async def story() -> None:
        stream = Stream()
        async with stream.running():
            send(stream, (TRACEPARENT, SAMPLED.encode()), script_id="late")
            await stream.settled()
            send(stream, (TRACEPARENT, SAMPLED.encode()), event_id="another")
            await stream.settled()

    with traced(Asked()):
        run_virtually(story())

    first, second, third, other = asked
    assert first == second == third
    assert len({first, other, TRACE}) == 3


def test_off_is_off() -> None:
    """No span is exported, and the lanes do not import OpenTelemetry."""
    import subprocess
    import sys

    told = subprocess.run(
        [sys.executable, "-c", "import sys, streams.faust_host.app; print('opentelemetry' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.strip() == "False"
