"""The span of a post tells where it went, and not by whose password."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bridge.client.tracing import post_span


def test_the_address_is_told_without_user_and_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """As OpenTelemetry demands of `url.full`."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    for url in ("https://me:hunt@er22@events.example.com/api", "https://events.example.com/api"):
        headers: dict[str, str] = {}
        with post_span(url, 3, headers):
            pass
        assert headers["traceparent"]

    assert [one.attributes["url.full"] for one in exporter.get_finished_spans() if one.attributes] == [
        "https://events.example.com/api"
    ] * 2
