"""Ids of requests and events: a client's id is used only where it is harmless."""

import re

import pytest

from bridge.http.ids import request_ids

TRACE = b"0af7651916cd43dd8448eb211c80319c"
PARENT = b"00-" + TRACE + b"-b7ad6b7169203331-01"


def test_what_is_missing_is_made() -> None:
    """Ids have the usual forms, and both trace headers carry the same trace."""
    made = request_ids({})

    assert re.fullmatch(rb"req-[0-9a-f]{16}", made.request_id)
    assert re.fullmatch(rb"trace-[0-9a-f]{32}", made.trace_id)
    assert made.traceparent.split(b"-")[1] == made.trace_id.removeprefix(b"trace-")
    assert request_ids({}) != made


def test_what_is_given_is_kept() -> None:
    """One of the two trace headers is enough. The flag of a traceparent is not the client's to set."""
    given = {b"x-request-id": b"abc", b"x-trace-id": b"t-1", b"traceparent": PARENT}

    assert request_ids(given) == (b"abc", b"t-1", PARENT[:-2] + b"00", b"abc")
    assert request_ids(given | {b"x-correlation-id": b"order-7"}).correlation_id == b"order-7"
    assert request_ids({b"traceparent": PARENT}).trace_id == b"trace-" + TRACE
    assert request_ids({b"x-trace-id": b"trace-" + TRACE}).traceparent.split(b"-")[1] == TRACE


@pytest.mark.parametrize("bad", [b"", b"a b", b"a\nb", b"a\r\nx: y", b"\xff", b"x" * 129, b'"', b"<b>"])
def test_what_could_harm_is_replaced(bad: bytes) -> None:
    """The id appears in the answer's headers, in records and in logs."""
    made = request_ids(dict.fromkeys((b"x-request-id", b"x-trace-id", b"x-correlation-id", b"traceparent"), bad))

    assert made.request_id.startswith(b"req-")
    assert made.trace_id.startswith(b"trace-")
    assert made.traceparent.startswith(b"00-")
    assert made.correlation_id == made.request_id


@pytest.mark.parametrize(
    "bad",
    [
        PARENT.upper(),
        b"01" + PARENT[2:],
        b"00-" + b"0" * 32 + PARENT[35:],
        PARENT[:36] + b"0" * 16 + b"-01",
        PARENT + b"-x",
    ],
)
def test_a_malformed_traceparent_is_replaced(bad: bytes) -> None:
    """The W3C recommendation asks for it."""
    assert request_ids({b"traceparent": bad}).traceparent[:-2] != bad[:-2]
