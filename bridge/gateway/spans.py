"""OpenTelemetry's span of each request. The headers of the request's records carry its context to the workers."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, format_span_id, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from bridge.http.ids import RequestIds
from schemas.kafka.headers import TRACEPARENT
from telemetry.metrics import product_version

_SERVER_ERROR: Final = 500
_propagator = TraceContextTextMapPropagator()


class _TraceIds(RandomIdGenerator):
    """Generator of trace and span ids. A trace that begins here gets the trace id of the response's headers."""

    chosen = 0

    def generate_trace_id(self) -> int:
        return self.chosen

    def is_trace_id_random(self) -> bool:
        return False


class RequestSpan(NamedTuple):
    """The span of a request, and the ids that name it."""

    span: Span
    ids: RequestIds

    def end(self, status: int, error_code: str) -> None:
        """End the span with the status of the response."""
        self.span.set_attribute("http.response.status_code", status)
        if error_code:
            self.span.set_attribute("bridge.error_code", error_code)
        if status >= _SERVER_ERROR:
            # An error of the client is no error of the gateway.
            self.span.set_attribute("error.type", error_code or str(status))
            self.span.set_status(Status(StatusCode.ERROR))
        self.span.end()


class RequestSpans:
    """Creates spans: below the client's span if the client sent one, else as OTEL_TRACES_SAMPLER decides."""

    def __init__(self, provider: TracerProvider) -> None:
        self._trace_ids = provider.id_generator = _TraceIds()
        self._tracer = provider.get_tracer("ghostlink-bridge", product_version())

    def begin(
        self, method: str, path: str, script_id: str, headers: Mapping[bytes, bytes], ids: RequestIds
    ) -> RequestSpan:
        """Return the span of a request that has just arrived. The span's `ids` replace those given.

        `path` is the path of its route, such as `/bridge/{script_id}.js`.
        """
        theirs = headers.get(TRACEPARENT.encode()) == ids.traceparent
        parent = Context()
        if theirs:
            parent = _propagator.extract({TRACEPARENT: ids.traceparent.decode()}, parent)
        else:
            self._trace_ids.chosen = int(ids.traceparent.split(b"-")[1], 16)
        attributes = {
            "http.request.method": method,
            "http.route": path,
            "bridge.script_id": script_id,
            "bridge.request_id": ids.request_id.decode(),
        }
        span = self._tracer.start_span(f"{method} {path}", parent, SpanKind.SERVER, attributes)
        context = span.get_span_context()
        named = f"00-{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}-{context.trace_flags:02x}"
        return RequestSpan(span, ids._replace(traceparent=named.encode()))
