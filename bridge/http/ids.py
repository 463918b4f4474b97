"""Ids of a request and its trace, taken from the client or generated."""

import random
import re
from collections.abc import Mapping
from typing import NamedTuple

_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
# Python seeds it from the system. Request ids must differ but are not secret, and a system call for each is slow.
_bits = random.Random().getrandbits  # noqa: S311
_TRACE_ID = re.compile(rb"(?:trace-)?(?!0{32})([0-9a-f]{32})")


class RequestIds(NamedTuple):
    """Ids of a request. The headers of its response and of its records contain them.

    The flag of `traceparent` says that the trace is not sampled: neither a client nor this module decides that it is.
    """

    request_id: bytes
    trace_id: bytes
    traceparent: bytes
    correlation_id: bytes

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers for the response."""
        return [
            (b"x-request-id", self.request_id),
            (b"x-trace-id", self.trace_id),
            (b"traceparent", self.traceparent),
        ]

    def fields(self) -> dict[str, str]:
        """Return the fields for log lines."""
        return {
            "request_id": self.request_id.decode(),
            "trace_id": self.trace_id.decode(),
            "correlation_id": self.correlation_id.decode(),
        }


def request_ids(headers: Mapping[bytes, bytes]) -> RequestIds:
    """Return the client's ids if their form is valid. Other ids are generated."""
    request_id = _given(headers, b"x-request-id") or b"req-%016x" % _bits(64)
    trace_id = _given(headers, b"x-trace-id")
    correlation_id = _given(headers, b"x-correlation-id") or request_id
    traceparent = headers.get(b"traceparent")
    parent = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    if parent is not None and traceparent is not None:
        return RequestIds(request_id, trace_id or b"trace-" + parent[1], traceparent[:-2] + b"00", correlation_id)
    known = None if trace_id is None else _TRACE_ID.fullmatch(trace_id)
    # The W3C standard forbids ids of zeros only.
    trace = b"%032x" % (_bits(128) or 1) if known is None else known[1]
    made = b"00-%b-%016x-00" % (trace, _bits(64) or 1)
    return RequestIds(request_id, trace_id or b"trace-" + trace, made, correlation_id)


def _given(headers: Mapping[bytes, bytes], name: bytes) -> bytes | None:
    found = headers.get(name)
    return None if found is None or not _ID.fullmatch(found) else found
