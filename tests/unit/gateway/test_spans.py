"""The spans of requests: what a client sends decides nothing that OTEL_TRACES_SAMPLER decides."""

from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, DEFAULT_OFF, DEFAULT_ON, Decision, Sampler, SamplingResult
from support.events.making import body
from support.processes.lone_gateway import LoneGateway, lone_gateway

from bridge.gateway.spans import RequestSpans

TRACE = f"{1:032x}"
PARENT = 0xB7AD6B7169203331
SAMPLED = f"00-{TRACE}-{PARENT:016x}-01"
NOT_SAMPLED = f"00-{TRACE}-{PARENT:016x}-00"


class ById(Sampler):
    """A sampler by trace id, such as `traceidratio`; it samples one trace, or each. It keeps what it was asked."""

    def __init__(self, only: int | None = None) -> None:
        self._only = only
        self.asked: list[int] = []

    def should_sample(self, parent_context: Any, trace_id: int, *_: Any, **__: Any) -> SamplingResult:
        self.asked.append(trace_id)
        return SamplingResult(Decision.RECORD_AND_SAMPLE if self._only in (None, trace_id) else Decision.DROP)

    def get_description(self) -> str:
        return "by id"


class Told:
    """What a request's client, its records and the exporter were told of its trace."""

    def __init__(self, answer: Mapping[str, str], record: bytes | None, spans: list[ReadableSpan]) -> None:
        self.answer = answer
        self.record = record
        self.spans = spans


async def told(sampler: Sampler | None, sender: str, sent: Mapping[str, str], script: str = "s1") -> Told:
    """Post one event with those headers to s1; without a sampler, tracing is off."""
    exporter, records = InMemorySpanExporter(), []
    async with lone_gateway() as gateway:
        if sampler is not None:
            provider = TracerProvider(sampler=sampler)
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            gateway.front.spans = RequestSpans(provider)

        def add(_delivery: Any, _key: Any, _value: Any, headers: Any) -> None:
            records.append(dict(headers)["traceparent"])

        gateway.services.publisher.add = add  # type: ignore[method-assign]
        answer = await gateway.post(credential(gateway, sender, script) | dict(sent), body())
        if sampler is not None:
            provider.shutdown()
    assert all(record.decode() == answer.headers["traceparent"] for record in records)
    return Told(answer.headers, records[0] if records else None, list(exporter.get_finished_spans()))


def credential(gateway: LoneGateway, sender: str, script: str) -> dict[str, str]:
    headers: dict[str, str] = getattr(gateway, sender)(script)
    return headers


@pytest.mark.parametrize("sender", ["visitor", "server"])
@pytest.mark.parametrize("sampler", [DEFAULT_OFF, ById(int(TRACE, 16))], ids=["parent based", "by trace id"])
@pytest.mark.parametrize(
    "sent", [{"traceparent": SAMPLED}, {"x-trace-id": f"trace-{TRACE}"}], ids=["traceparent", "x-trace-id"]
)
async def test_a_client_has_no_trace_sampled_that_the_sampler_leaves_out(
    sender: str, sampler: Sampler, sent: Mapping[str, str]
) -> None:
    """Neither its flag nor the trace id that it chooses decides. The record tells the workers the same."""
    found = await told(sampler, sender, sent)

    assert found.spans == []
    assert found.record is not None
    assert found.record.endswith(b"-00")
    assert found.answer["x-trace-id"] == f"trace-{TRACE}"


@pytest.mark.parametrize("sent", [SAMPLED, NOT_SAMPLED])
async def test_a_visitor_s_span_is_linked_and_is_no_parent(sent: str) -> None:
    """A visitor adds no span to another's trace, and hides none of its requests."""
    found = await told(DEFAULT_ON, "visitor", {"traceparent": sent})

    (span,) = found.spans
    assert span.parent is None
    assert span.context.trace_id != int(TRACE, 16)
    assert [one.context.span_id for one in span.links] == [PARENT]
    assert span.attributes["bridge.trace_id"] == found.answer["x-trace-id"] == f"trace-{TRACE}"
    assert found.record == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01".encode()


async def test_a_visitor_does_not_name_the_trace_by_the_other_header() -> None:
    found = await told(ALWAYS_ON, "visitor", {"x-trace-id": f"trace-{TRACE}"})

    (span,) = found.spans
    assert span.context.trace_id != int(TRACE, 16)
    assert found.answer["x-trace-id"] == f"trace-{TRACE}"


async def test_a_server_s_span_is_the_parent() -> None:
    """Its program and the gateway share a trace, unless the program does not sample it."""
    (span,) = (await told(DEFAULT_ON, "server", {"traceparent": SAMPLED})).spans
    assert span.parent is not None
    assert (span.context.trace_id, span.parent.span_id) == (int(TRACE, 16), PARENT)

    unsampled = await told(DEFAULT_ON, "server", {"traceparent": NOT_SAMPLED})
    assert unsampled.spans == []
    assert unsampled.record is not None
    assert unsampled.record.endswith(b"-00")


async def test_a_key_of_another_script_makes_no_parent() -> None:
    found = await told(DEFAULT_ON, "server", {"traceparent": SAMPLED}, script="s2")

    (span,) = found.spans
    assert (found.record, span.parent) == (None, None)


async def test_a_trace_without_headers_is_sampled_by_its_own_id() -> None:
    """Then a worker whose sampler looks at the trace id decides as the gateway did."""
    sampler = ById()
    found = await told(sampler, "visitor", {})

    (span,) = found.spans
    assert sampler.asked == [span.context.trace_id]
    assert found.answer["x-trace-id"] == f"trace-{span.context.trace_id:032x}"


@pytest.mark.parametrize("sender", ["visitor", "server"])
@pytest.mark.parametrize("sent", [{"traceparent": SAMPLED}, {}], ids=["named", "made"])
async def test_a_gateway_without_tracing_samples_nothing(sender: str, sent: Mapping[str, str]) -> None:
    """Workers that trace follow the flag in a gateway's record."""
    found = await told(None, sender, sent)

    assert found.record is not None
    assert found.record.endswith(b"-00")
    if sent:
        assert found.record == NOT_SAMPLED.encode()
