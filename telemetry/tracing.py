"""Whether a process is traced: off unless asked for, and then by OpenTelemetry."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from schemas.config.settings import Settings
from schemas.errors import InvalidInput

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


def provider_of_traces(settings: Settings, service: str) -> "TracerProvider | None":
    """Where a process's spans go, None unless the settings ask for traces; raises InvalidInput without the extra.

    Where they are sent, and which, is said by OpenTelemetry's own variables, such as OTEL_EXPORTER_OTLP_ENDPOINT.
    """
    if not settings.traces:
        return None
    if find_spec("opentelemetry.sdk") is None:
        raise InvalidInput("BRIDGE_TRACES is on, but OpenTelemetry's SDK is missing: install ghostlink-bridge[traces]")
    return _exporting_provider(service)


def _exporting_provider(service: str) -> "TracerProvider":
    """Spans go to the collector that OpenTelemetry's variables name; a producer's word on sampling stands."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
