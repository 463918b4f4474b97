"""Cross-origin answers: for exactly the origins on a script's list, never for any."""

from collections.abc import Mapping
from typing import Final

from bridge.gateway.access import Producers
from bridge.http.answer import Answer, HeaderPairs
from bridge.http.problems import Code, Problem

_VARY: Final = (b"vary", b"Origin")
_EXPOSED: Final = (b"access-control-expose-headers", b"x-request-id, x-trace-id, retry-after")
_HEADERS: Final = (
    b"authorization, content-type, content-encoding, idempotency-key, traceparent, "
    b"x-request-id, x-trace-id, x-correlation-id"
)
_ALLOWED: Final = [
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", _HEADERS),
    (b"access-control-max-age", b"600"),
]


def cors_headers(producers: Producers, script_id: str, headers: Mapping[bytes, bytes]) -> HeaderPairs:
    """What lets a page of an allowed origin read the answer; nothing for others."""
    origin = headers.get(b"origin")
    if origin is None:
        return [_VARY]
    if origin.decode("latin-1") not in producers.origins.get(script_id, ()):
        return [_VARY]
    return [_VARY, (b"access-control-allow-origin", origin), _EXPOSED]


def preflight(producers: Producers, script_id: str, headers: Mapping[bytes, bytes]) -> Answer:
    """The answer to a browser that asks first; raises Problem for an origin that is not on the list."""
    origin = headers.get(b"origin", b"").decode("latin-1")
    if origin not in producers.origins.get(script_id, ()):
        raise Problem(Code.ORIGIN_NOT_ALLOWED if origin else Code.ORIGIN_MISSING)
    return Answer(204, b"", list(_ALLOWED))
