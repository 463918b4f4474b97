"""The span of a post does not affect the post."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bridge.client.tracing import post_span

URL = "https://events.example.com/api"


def test_the_span_has_the_address_and_goes_with_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    headers: dict[str, str] = {}
    with post_span(URL, 3, headers):
        pass

    assert headers["traceparent"]
    assert [one.attributes["url.full"] for one in exporter.get_finished_spans() if one.attributes] == [URL]


def test_a_propagator_that_raises_costs_only_the_span(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no propagation")

    monkeypatch.setattr("opentelemetry.propagate.inject", broken)
    headers: dict[str, str] = {}
    with post_span(URL, 3, headers) as span:
        assert span is None
    assert headers == {}
