"""A request's cost before its turn: it is charged to its sender and slows its sender's answers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from itertools import pairwise
from types import SimpleNamespace

import pytest
from support.processes.lone_gateway import LoneGateway, lone_gateway
from support.processor_time import Clock
from support.spoken import Spoken, post

from bridge.gateway.admission.rate_limits import RateLimits
from bridge.http.wire import connection_turns as turns
from bridge.http.wire.connections import Connections
from bridge.http.wire.protocol import BoundedProtocol
from bridge.http.wire.request_pace import Pace
from schemas.pipeline.sender import Sender

PAID_SECONDS = 0.0001
DEAR_SECONDS = 0.002
"""The seconds to parse a URL with a query."""


@pytest.fixture
def pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that only parsing advances, and connections without a rate limit."""
    clock = Clock()
    for module in ("cost", "protocol"):
        monkeypatch.setattr(f"bridge.http.wire.{module}.time", clock)
    for name in ("_READ_SECONDS", "_OPENED_SECONDS"):
        monkeypatch.setattr(turns, name, 0.0)
    monkeypatch.setattr("sinks.cooperative.time", SimpleNamespace(monotonic=lambda: 10.0))
    monkeypatch.setattr("bridge.gateway.admission.line._slice_clock", lambda: 10.0)
    monkeypatch.setattr("bridge.gateway.admission.line.time", Clock())
    monkeypatch.setattr(BoundedProtocol, "places", Connections(1000, 0))
    monkeypatch.setattr(BoundedProtocol, "pace", Pace(1e6, lambda: 10.0))
    on_url = BoundedProtocol.on_url

    def dear(self: BoundedProtocol, url: bytes) -> None:
        clock.now += DEAR_SECONDS if b"?" in url else 0.0
        on_url(self, url)

    monkeypatch.setattr(BoundedProtocol, "on_url", dear)


@pytest.fixture
async def gateway(pace: None) -> AsyncIterator[LoneGateway]:
    async with lone_gateway(gateway_address_requests_per_second=0) as made:
        yield made


def sent(headers: Mapping[str, str], query: bytes = b"?dear") -> bytes:
    """A post of an event."""
    lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
    return post(b"/api/bridge/s1/events" + query, b'{"event_id":"a"}', lines)


@pytest.mark.parametrize("is_direct", [True, False], ids=["direct", "behind proxies"])
@pytest.mark.parametrize("hangs_up", [False, True], ids=["answered", "disconnected"])
async def test_what_a_request_cost_before_is_charged_to_its_sender(
    gateway: LoneGateway, monkeypatch: pytest.MonkeyPatch, is_direct: bool, hangs_up: bool
) -> None:
    """The script's later requests go behind others', also if the client disconnects."""
    if not is_direct:
        monkeypatch.setattr(BoundedProtocol, "pace", Pace(0))
    for sender, headers in ((Sender.SERVER, gateway.server()), (Sender.VISITOR, gateway.visitor())):
        gateway.services.rate_limits = RateLimits(gateway.services.settings, lambda: 10.0)
        times = gateway.services.rate_limits.of(sender).script_time
        full = times.level("s1")
        one = Spoken(BoundedProtocol, gateway.front)
        await one.hear(sent(headers)[:-1] if hangs_up else sent(headers))
        await one.end()
        assert full - times.level("s1") == pytest.approx(DEAR_SECONDS - PAID_SECONDS)


async def most_at_once(gateway: LoneGateway, query: bytes) -> int:
    """The largest number of thirty ready requests that are answered in one iteration of the loop."""
    opened = [Spoken(BoundedProtocol, gateway.front) for _ in range(30)]
    for one in opened:
        one.protocol.data_received(sent(gateway.server(), query))
    answered = [0]
    while answered[-1] < len(opened):
        await asyncio.sleep(0)
        answered.append(sum(1 for one in opened if one.answers))
    for one in opened:
        await one.end()
    return max(after - before for before, after in pairwise(answered))


async def test_requests_that_were_dear_to_parse_are_answered_as_slowly(gateway: LoneGateway) -> None:
    """Few are answered in one iteration, so few are parsed in the next; plain ones are more."""
    assert await most_at_once(gateway, b"") > 3
    assert await most_at_once(gateway, b"?dear") == 2
