"""Cross-origin headers for the allowed origins of a script, and for no other origin."""

import re
from collections.abc import Mapping
from typing import Final

from bridge.http.answer import Answer, HeaderPairs
from bridge.http.problems import Code, Problem
from sinks.postgres.registry.producers import ProducerRegistry

_VARY: Final = (b"vary", b"Origin")
_EXPOSED: Final = (b"access-control-expose-headers", b"x-request-id, x-trace-id, retry-after")
_HEADERS: Final = (
    b"authorization",
    b"content-type",
    b"content-encoding",
    b"idempotency-key",
    b"traceparent",
    b"x-request-id",
    b"x-trace-id",
    b"x-correlation-id",
)
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]{1,64}")
"""The form of a header name by RFC 9110, in lower case."""
_MOST_ASKED: Final = 64
_VARY_ASKED: Final = (b"vary", b"Access-Control-Request-Headers")


def cors_headers(producers: ProducerRegistry, script_id: str, headers: Mapping[bytes, bytes]) -> HeaderPairs:
    """Return the headers with which a page of an allowed origin can read the response; none for other origins."""
    origin = headers.get(b"origin")
    if origin is None or origin.decode("latin-1") not in producers.origins.get(script_id, ()):
        return [_VARY]
    return [_VARY, (b"access-control-allow-origin", origin), _EXPOSED]


def preflight(producers: ProducerRegistry, script_id: str, headers: Mapping[bytes, bytes]) -> Answer:
    """Answer a browser's preflight request; raises Problem if the origin is not an allowed origin of the script.

    The response allows the headers that the gateway reads, and the valid ones that the browser asks for. Tracing tools
    of a page add headers to all its requests (`baggage`, `sentry-trace`, `x-datadog-*` and others). One header that is
    not allowed would block every event. The headers grant nothing: the gateway reads none of them, and accepts no
    cookies.
    """
    origin = headers.get(b"origin", b"").decode("latin-1")
    if origin not in producers.origins.get(script_id, ()):
        raise Problem(Code.ORIGIN_NOT_ALLOWED if origin else Code.ORIGIN_MISSING)
    allowed = b", ".join(dict.fromkeys([*_HEADERS, *_asked(headers)]))
    answer: HeaderPairs = [
        (b"access-control-allow-methods", b"POST"),
        (b"access-control-allow-headers", allowed),
        (b"access-control-max-age", b"600"),
        _VARY_ASKED,
    ]
    return Answer(204, b"", answer)


def _asked(headers: Mapping[bytes, bytes]) -> list[bytes]:
    """Return the valid header names that the browser's preflight request asks for, up to a limit."""
    names = headers.get(b"access-control-request-headers", b"").lower().split(b",", _MOST_ASKED)[:_MOST_ASKED]
    return [name for name in map(bytes.strip, names) if _NAME.fullmatch(name)]
