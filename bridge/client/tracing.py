"""The span of each post, for programs that use OpenTelemetry. Other programs don't import OpenTelemetry."""

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Span

log = logging.getLogger(__name__)


@contextmanager
def post_span(url: str, events: int, headers: MutableMapping[str, str]) -> Iterator["Span | None"]:
    """Open the span of one post with the program's own tracer, and add its context to the headers.

    A batch has events of many callers, so its post begins a new trace, whatever span is current. If the tracer or a
    propagator raises an error, the batch is posted without a span.
    """
    span = None
    if "opentelemetry.trace" in sys.modules:
        try:
            span = _begun(url, events, headers)
        except Exception as error:
            log.debug("no span for the post to %s: %r", url, error, exc_info=error)
    try:
        yield span
    finally:
        if span is not None:
            span.end()


def _begun(url: str, events: int, headers: MutableMapping[str, str]) -> "Span":
    from opentelemetry.context import Context
    from opentelemetry.propagate import inject
    from opentelemetry.trace import SpanKind, get_tracer, set_span_in_context

    attributes: dict[str, str | int] = {
        "http.request.method": "POST",
        "url.full": url,
        "messaging.batch.message_count": events,
    }
    span = get_tracer("ghostlink-bridge-client").start_span("POST", Context(), SpanKind.CLIENT, attributes)
    carrier: dict[str, str] = {}
    inject(carrier, set_span_in_context(span, Context()))
    headers.update(carrier)
    return span
