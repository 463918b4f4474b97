"""The span of each post, for a program that traces: one that doesn't has not even imported OpenTelemetry."""

import re
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_USER = re.compile(r"//[^/]*@")


@contextmanager
def post_span(url: str, events: int, headers: MutableMapping[str, str]) -> Iterator["Span | None"]:
    """The span of one post, by the program's own tracer; the headers then say so to the gateway.

    A batch holds events of many callers, so that its post begins a trace, whatever span is current here.
    """
    if "opentelemetry.trace" not in sys.modules:
        yield None
        return
    from opentelemetry.context import Context
    from opentelemetry.propagate import inject
    from opentelemetry.trace import SpanKind, get_tracer, set_span_in_context

    span = get_tracer("ghostlink-bridge-client").start_span(
        "POST",
        Context(),
        SpanKind.CLIENT,
        # Who collects spans is not to learn the password of a proxy.
        {"http.request.method": "POST", "url.full": _USER.sub("//", url), "messaging.batch.message_count": events},
    )
    inject(headers, set_span_in_context(span, Context()))
    try:
        yield span
    finally:
        span.end()
