"""The tracing of a process by OpenTelemetry. It is off unless BRIDGE_TRACES is on."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from schemas.config.settings import Settings
from schemas.errors import InvalidInput

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


def provider_of_traces(settings: Settings, service: str) -> "TracerProvider | None":
    """Return the provider of a process's spans, which exports them to a collector; None unless the settings ask for it.

    OpenTelemetry's own variables, such as OTEL_EXPORTER_OTLP_ENDPOINT, configure the exporter and the sampler. Raises
    InvalidInput if the extra `traces` is not installed.
    """
    if not settings.traces:
        return None
    if find_spec("opentelemetry.sdk") is None:
        raise InvalidInput("BRIDGE_TRACES is on, but OpenTelemetry's SDK is missing: install ghostlink-bridge[traces]")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
