"""Allowed preflight headers: the gateway's own and those that a page's tools add, for listed origins."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from bridge.gateway.admission.cors import preflight
from bridge.http.problems import Problem
from sinks.postgres.registry.producers import ProducerRegistry

ORIGIN = "https://shop.example"
PRODUCERS = cast("ProducerRegistry", SimpleNamespace(origins={"shop": frozenset({ORIGIN})}))
OWN = {"authorization", "content-type", "idempotency-key", "traceparent"}


def allowed(asked: bytes | None, origin: str = ORIGIN) -> set[str]:
    headers: dict[bytes, Any] = {b"origin": origin.encode(), b"access-control-request-method": b"POST"}
    if asked is not None:
        headers[b"access-control-request-headers"] = asked
    answer = preflight(PRODUCERS, "shop", headers)
    return set(dict(answer.headers)[b"access-control-allow-headers"].decode().split(", "))


@pytest.mark.parametrize(
    "asked",
    [
        "baggage,sentry-trace",
        "authorization,content-type,traceparent,tracestate",
        "x-datadog-origin,x-datadog-parent-id,x-datadog-sampling-priority,x-datadog-trace-id",
        "b3,x-b3-sampled,x-b3-spanid,x-b3-traceid",
        "newrelic,request-id,request-context",
        "elastic-apm-traceparent, X-Amzn-Trace-Id ,uber-trace-id",
    ],
)
def test_preflight_allows_what_tracing_adds(asked: str) -> None:
    """Header names of any tracing tool are allowed."""
    assert allowed(asked.encode()) >= {name.strip().lower() for name in asked.split(",")} | OWN


@pytest.mark.parametrize("asked", [None, b"", b",", b"a b", b"a:b", b"x\r\nset-cookie: y", b"\xff", b"y" * 65, b'"q"'])
def test_preflight_repeats_no_nonsense(asked: bytes | None) -> None:
    """Invalid header names are left out, and the gateway's own stay."""
    assert allowed(asked) == allowed(None) >= OWN


def test_preflight_is_bounded() -> None:
    """The answer is limited in number and length of headers; a larger request is truncated."""
    names = [b"x-%d" % number for number in range(10_000)]
    assert len(allowed(b",".join(names))) == 64 + len(allowed(None))


def test_preflight_of_another_origin_is_refused() -> None:
    """The requested headers do not matter."""
    with pytest.raises(Problem, match="origin_not_allowed"):
        allowed(b"baggage", "https://evil.example")
