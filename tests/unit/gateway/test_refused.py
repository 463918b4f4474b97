"""Log lines of refusals: one a minute for each reason and script, for any number of requests."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.processes.lone_gateway import lone_gateway

from bridge.http.problems import Code
from bridge.http.refusal_log import Refused
from schemas.pipeline.registry import Script
from telemetry import metrics
from telemetry.metric_kinds import MOST_NAMED, FirstComers

S1 = Script("s1", 1, 1, enabled=False)
EVENTS = "/api/bridge/s1/events"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _nobody_is_named_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the names: the first of a process have labels, which depend on earlier tests."""
    monkeypatch.setattr(metrics, "_scripts", FirstComers())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def refused(clock: Clock) -> Refused:
    return Refused(clock)


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with capture_logs() as found:
        yield found


def test_refusals_are_one_line_a_minute(refused: Refused, clock: Clock, lines: list[Any]) -> None:
    """The first is logged immediately, then counts with their duration, and nothing without refusals."""
    refused.count(Code.SCRIPT_DISABLED, S1)
    clock.now += 1
    refused.tell()
    told = {"event": "requests_refused", "log_level": "warning", "error_code": "script_disabled", "status_code": 403}
    whose = {"site": "1", "script": "s1"}
    assert lines == [told | whose | {"requests": 1, "events": 0, "seconds": 1.0}]

    for _ in range(59):
        clock.now += 1
        refused.count(Code.SCRIPT_DISABLED, S1, events=2)
        refused.tell()
    assert len(lines) == 1
    clock.now += 1
    refused.tell()
    assert lines[1:] == [told | whose | {"requests": 59, "events": 118, "seconds": 59.0}]

    clock.now += 3600
    refused.tell()
    refused.tell(everything=True)
    assert len(lines) == 2


def test_what_is_left_is_told_at_the_end(refused: Refused, clock: Clock, lines: list[Any]) -> None:
    """The remaining count is logged before the minute is over."""
    for count in (1, 2):
        for _ in range(count):
            refused.count(Code.RATE_LIMITED, S1, events=10)
        clock.now += 1
        refused.tell(everything=count == 2)
    assert [(line["requests"], line["events"]) for line in lines] == [(1, 10), (2, 20)]


def test_servers_refusals_have_lines_of_their_own(refused: Refused, lines: list[Any]) -> None:
    """The line limit of unauthenticated requests does not suppress them."""
    refused.count(Code.RATE_LIMITED, S1)
    refused.count(Code.RATE_LIMITED, S1, by_server=True)
    refused.count(Code.EVENT_TOO_LARGE, S1, requests=0, events=3, by_server=True)
    refused.tell()
    assert [(line["event"], line["error_code"], line["requests"], line["events"]) for line in lines] == [
        ("requests_refused", "rate_limited", 1, 0),
        ("server_requests_refused", "rate_limited", 1, 0),
        ("server_requests_refused", "event_too_large", 0, 3),
    ]


def test_strangers_share_a_line(refused: Refused, clock: Clock, lines: list[Any]) -> None:
    """The level is info, and the line has the start of the last invented name."""
    for number in range(10_000):
        refused.count(Code.UNKNOWN_SCRIPT, None, named=f"{number}-" + "x" * 10_000)
        clock.now += 0.0001
        refused.tell()
    refused.tell(everything=True)
    first, last = lines
    assert (first["log_level"], first["site"], first["script"]) == ("info", "unknown", "unknown")
    assert (first["requests"], last["requests"]) == (1, 9999)
    assert last["script_named"] == ("9999-" + "x" * 10_000)[:100]


def test_lines_and_what_is_kept_for_them_are_bounded(refused: Refused, lines: list[Any]) -> None:
    """Scripts beyond the first hundred share one line for each reason."""
    for number in range(10_000):
        refused.count(Code.TOKEN_MISSING, Script(f"script-{number}", number, 1, enabled=True))
    refused.tell()
    assert len(lines) == len(refused._lines) == MOST_NAMED + 1
    others = lines[-1]
    assert (others["site"], others["script"], others["requests"]) == ("other", "other", 10_000 - MOST_NAMED)


def counted(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


async def test_every_event_of_a_refused_request_is_counted() -> None:
    """Ten checked events refuse two requests of twenty, and the metrics count all forty."""
    whose = {"site": "1", "script": "s1"}

    def figures() -> list[float]:
        outcomes = ("let_through", "rejected", "with_request")
        rejected = {"error_code": "too_many_refused", **whose}
        return [
            *(counted("bridge_gateway_refused_events_total", outcome=one, **whose) for one in outcomes),
            counted("bridge_gateway_rejected_total", **rejected),
            counted("bridge_gateway_rejected_events_total", **rejected),
        ]

    async with lone_gateway(gateway_visitor_refused_per_minute=1) as gateway:
        visitor = gateway.visitor()
        assert (await gateway.post(visitor, b"[{}]")).status == 202
        before = figures()
        for _ in range(2):
            assert (await gateway.post(visitor, json.dumps([{}] * 20).encode())).status == 429
        assert [now - then for now, then in zip(figures(), before, strict=True)] == [0, 20, 20, 2, 40]

        good = {"event_id": "1", "event_type": "click", "occurred_at": time.time_ns() // 1_000_000}
        some = await gateway.post(visitor, json.dumps([good, {}, {}]).encode())
        assert (some.status, some.json()["rejected"]) == (202, 2)
        assert [now - then for now, then in zip(figures(), before, strict=True)] == [0, 22, 20, 2, 42]


@pytest.mark.parametrize(
    ("method", "path", "code", "script"),
    [
        ("POST", EVENTS, "token_missing", "s1"),
        ("POST", "/api/bridge/nobody/events", "unknown_script", "unknown"),
        ("GET", "/nothing", "not_found", "unknown"),
    ],
)
async def test_every_refusal_is_counted(method: str, path: str, code: str, script: str) -> None:
    """Paths without a script count too, because a producer with a wrong address sends there."""
    labels = {"error_code": code, "site": "1" if script == "s1" else "unknown", "script": script}
    before = counted("bridge_gateway_rejected_total", **labels)
    async with lone_gateway() as gateway:
        await gateway.ask(method, path)
    assert counted("bridge_gateway_rejected_total", **labels) == before + 1
