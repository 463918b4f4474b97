"""One event from its producer's program through gateway, Kafka, a retry, its dead letter and its replay: one trace."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from support.events.replays import dlq, plan, until
from support.events.settled import fetch, working
from support.processes.gateway import raw_records
from support.wait import wait_until

from bridge.client import BridgeClient
from bridge.gateway import app as gateway_app
from bridge.gateway.server import _config
from bridge.http.server import Server, address_of, listening_socket
from schemas.config.settings import Settings
from streams.worker import tracing
from streams.worker.spans import SettlementSpans


@pytest.fixture
def spans(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The spans of program, gateway and worker, all in this process."""
    exporter = InMemorySpanExporter()
    made = []

    def provider(*_: object, **options: object) -> TracerProvider:
        made.append(TracerProvider(**options))  # type: ignore[arg-type]  # a sampler, or nothing
        made[-1].add_span_processor(SimpleSpanProcessor(exporter))
        return made[-1]

    monkeypatch.setattr(gateway_app, "provider_of_traces", provider)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider())
    tracing.trace_by(SettlementSpans(provider(), settings.group).tell)
    yield exporter
    tracing.trace_by(None)
    for one in made:
        one.shutdown()


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[str]:
    """The address of a gateway in this process."""
    with listening_socket("127.0.0.1", 0) as bound:
        server = Server(_config(settings, gateway_app.create_app(settings)))
        task = asyncio.create_task(server.serve(sockets=[bound]))
        await wait_until(lambda: server.started or task.done(), budget_seconds=40, describe="the gateway")
        try:
            yield address_of(bound)
        finally:
            server.should_exit = True
            await task


def told(spans: InMemorySpanExporter, kind: str) -> list[ReadableSpan]:
    return [one for one in spans.get_finished_spans() if one.name.startswith(kind)]


async def test_one_event_is_one_trace_from_its_producer_to_the_row_of_its_replay(
    settings: Settings, key: str, spans: InMemorySpanExporter
) -> None:
    """Each step is a child of the one before, and each attempt links to the commit that wrote it."""
    async with serving(settings) as url, BridgeClient(url, "s1", key) as client:
        await client.track("click", {"of": "a version that nobody knows"}, schema_version=99)
        await client.flush()
    async with working(settings):
        await until(settings, "SELECT count(*) = 1 FROM bridge_event_raw WHERE disposition = 'open'")
        plan_id, _ = await plan(settings, "--all", "--yes", "--set", "schema_version=1", "--reason", "a typo")
        await dlq(settings, "replay", plan_id)
        await until(settings, "SELECT count(*) = 1 FROM bridge_event")

    (request,) = told(spans, "POST /api")
    (post,) = [one for one in told(spans, "POST") if one is not request]
    assert post.parent is None
    assert request.parent is not None
    assert (request.context.trace_id, request.parent.span_id) == (post.context.trace_id, post.context.span_id)
    assert request.attributes["http.response.status_code"] == post.attributes["http.response.status_code"] == 202
    attempts = told(spans, "attempt")
    for attempt in attempts:
        assert (attempt.context.trace_id, attempt.parent.span_id) == (post.context.trace_id, request.context.span_id)
        (link,) = attempt.links
        (settlement,) = [one for one in told(spans, "settle") if one.context.span_id == link.context.span_id]
        assert request.context.span_id in {one.context.span_id for one in settlement.links}
    raw, first, second = settings.topics.raw, *settings.topics.retries
    assert [(one.name.removeprefix("attempt "), one.attributes["bridge.outcome"]) for one in attempts] == [
        (raw, "retried"), (first, "retried"), (second, "dropped"), (raw, "normalized"),
    ]  # fmt: skip
    assert attempts[2].attributes["bridge.dead_lettered"] is True
    assert attempts[3].attributes["bridge.replay_of"] == attempts[0].attributes["bridge.provenance"]
    (letter,) = await fetch(settings, "SELECT disposition FROM bridge_event_raw")
    assert letter["disposition"] == "replayed"


async def test_what_the_sampler_leaves_out_is_left_out_by_all(
    settings: Settings, key: str, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sampler that drops the trace drops it everywhere: in the answer, in the record and for the attempts.

    Without a trace of the request, the gateway's sampler decides.
    """
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", trace.NoOpTracerProvider())
    off = gateway_app.provider_of_traces
    monkeypatch.setattr(gateway_app, "provider_of_traces", lambda *_: off(sampler=ALWAYS_OFF))  # type: ignore[call-arg]
    async with serving(settings) as url, BridgeClient(url, "s1", key) as client:
        await client.track("click")
        await client.flush()
    async with working(settings):
        await until(settings, "SELECT count(*) = 1 FROM bridge_event")

    (record,) = await raw_records(settings)
    headers = dict(record.headers)
    assert headers["traceparent"].endswith(b"-00")
    assert headers["x-trace-id"] == b"trace-" + headers["traceparent"].split(b"-")[1]
    assert {one.name for one in spans.get_finished_spans()} == {f"settle {settings.topics.raw}"}
