"""OpenTelemetry's span of each request. The headers of the request's records carry its context to the workers."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    TraceState,
    format_span_id,
    format_trace_id,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from bridge.http.ids import RequestIds
from schemas.kafka.headers import TRACEPARENT
from telemetry.metrics import product_version

_GIVEN: Final = (TRACEPARENT.encode(), b"x-trace-id")
"""Headers in which a client can name its trace."""
_SERVER_ERROR: Final = 500
_propagator = TraceContextTextMapPropagator()


class _TraceIds(RandomIdGenerator):
    """Generator of trace and span ids. A trace that begins here gets the chosen trace id."""

    chosen = 0

    def generate_trace_id(self) -> int:
        return self.chosen

    def is_trace_id_random(self) -> bool:
        return False

    def another(self) -> int:
        """Return a random trace id."""
        return super().generate_trace_id()


class _OwnSampler(Sampler):
    """Sampler that decides as the configured one does on a trace that begins here, by an id that no client has chosen.

    A client's flag can only keep its trace from being sampled. Otherwise a client could have all of its events traced,
    by its flag or by a trace id that a sampler of ratios selects.
    """

    own_id = 0

    def __init__(self, configured: Sampler) -> None:
        self._configured = configured

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,  # noqa: ARG002  # the client may have chosen it
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if get_current_span(parent_context).get_span_context().trace_flags.sampled:
            parent_context = Context()
        return self._configured.should_sample(parent_context, self.own_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        return f"Own{{{self._configured.get_description()}}}"


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
    """Creates spans, as OTEL_TRACES_SAMPLER decides: below the span that a server sent, or linked with a visitor's."""

    def __init__(self, provider: TracerProvider) -> None:
        self._trace_ids = provider.id_generator = _TraceIds()
        self._sampler = provider.sampler = _OwnSampler(provider.sampler)
        self._tracer = provider.get_tracer("ghostlink-bridge", product_version())

    def begin(
        self,
        method: str,
        path: str,
        script_id: str,
        headers: Mapping[bytes, bytes],
        ids: RequestIds,
        *,
        from_server: bool,
    ) -> RequestSpan:
        """Return the span of a request that has just arrived. The span's `ids` replace those given.

        `path` is the path of its route, such as `/bridge/{script_id}.js`. `from_server` says that the request has a
        valid API key. Anybody can send the other requests: their spans are in traces of their own, and a trace that the
        request names is only noted.
        """
        named = ids.traceparent.split(b"-")[1]
        is_given = any(named in headers.get(name, b"") for name in _GIVEN)
        self._sampler.own_id = self._trace_ids.another() if is_given else int(named, 16)
        self._trace_ids.chosen = int(named, 16) if from_server else self._sampler.own_id
        parent = theirs = _sent(headers, ids)
        links = []
        if not from_server:
            parent = Context()
            if (sent := get_current_span(theirs).get_span_context()).is_valid:
                links.append(Link(sent))
        attributes = {
            "http.request.method": method,
            "http.route": path,
            "bridge.script_id": script_id,
            "bridge.request_id": ids.request_id.decode(),
            "bridge.trace_id": ids.trace_id.decode(),
        }
        span = self._tracer.start_span(f"{method} {path}", parent, SpanKind.SERVER, attributes, links)
        context = span.get_span_context()
        own = f"00-{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}-{context.trace_flags:02x}"
        return RequestSpan(span, ids._replace(traceparent=own.encode()))


def _sent(headers: Mapping[bytes, bytes], ids: RequestIds) -> Context:
    """Return a context with the span that the request names; an empty one if it names none in the right form."""
    text = headers.get(TRACEPARENT.encode(), b"")
    # The ids have the client's span only if its form is valid, and never its flag.
    if text[:-2] != ids.traceparent[:-2]:
        return Context()
    return _propagator.extract({TRACEPARENT: text.decode()}, Context())
