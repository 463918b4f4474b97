"""A request's cost before its sender is admitted: it is charged to the pace of its address."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from support.events.refused import PLAIN, refused
from support.processes.lone_gateway import LoneGateway, lone_gateway
from support.processor_time import Clock
from support.spoken import Spoken, echo, hasty, post

from bridge.gateway.app import create_app
from bridge.http.admin_port import PAGES
from bridge.http.wire import connection_turns as turns
from bridge.http.wire.connection_turns import ConnectionTurns
from bridge.http.wire.connections import Connections
from bridge.http.wire.cost import Cost
from bridge.http.wire.protocol import BoundedProtocol
from bridge.http.wire.request_pace import Pace

ADDRESS = "127.0.0.1"
RATE = 500
PAID_SECONDS = 0.00005
"""The processor time that a request covers in the rate of its address; in its sender's share it covers twice that."""
DEAR_SECONDS = 0.0045
DEAREST = 6.0
"""The limit of a refusal's cost, in multiples of a plain refusal; the most expensive one measures about 4."""
LEAST_CHARGED = 0.5
"""The least charged share of a request's processor time; the rest is the event loop's own."""
TRIES = 7


class Kept(Pace):
    """A pace without a limit that records its charges."""

    def __init__(self) -> None:
        super().__init__(1e6, lambda: 5.0)
        self.seconds = 0.0
        self.counted: list[int] = []

    def charge(self, address: str, seconds: float, counted: int = 1) -> None:
        self.seconds += seconds
        self.counted.append(counted)


@pytest.fixture
def dear_parser(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser that takes long for a URL."""
    on_url = BoundedProtocol.on_url

    # These tests measure the pace, not the limit of the loop's iteration.
    monkeypatch.setattr(BoundedProtocol.others, "left", 1.0)

    def dear(self: BoundedProtocol, url: bytes) -> None:
        clock.now += DEAR_SECONDS
        on_url(self, url)

    monkeypatch.setattr(BoundedProtocol, "on_url", dear)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    """The recording pace of the connections."""
    made = Kept()
    monkeypatch.setattr(BoundedProtocol, "places", Connections(100, 0))
    monkeypatch.setattr(BoundedProtocol, "pace", made)
    return made


@pytest.fixture
async def gateway() -> AsyncIterator[LoneGateway]:
    async with lone_gateway(gateway_address_requests_per_second=0) as made:
        yield made


def wait_of(pace: Pace) -> float:
    """The current wait of the address, in requests beyond its burst."""
    return round((pace.begins(ADDRESS, 0) + 1) * RATE)


def test_an_address_pays_for_the_time_that_its_requests_take() -> None:
    """A request covers a fixed time, each further unit counts as a request, and others pay nothing."""
    pace = Pace(RATE, lambda: 10.0)
    pace.begins(ADDRESS, RATE)
    assert wait_of(pace) == RATE
    pace.charge(ADDRESS, PAID_SECONDS)
    assert wait_of(pace) == RATE
    pace.charge(ADDRESS, 101 * PAID_SECONDS)
    assert wait_of(pace) == RATE + 100
    pace.charge(ADDRESS, 10 * PAID_SECONDS, 0)
    assert wait_of(pace) == RATE + 110
    assert pace.begins("127.0.0.2") == 0


@pytest.mark.parametrize(("rate", "paid"), [(5, 0.005), (500, 0.00005), (5000, 0.00005)])
def test_an_address_has_its_share_of_the_time_at_any_rate(rate: int, paid: float) -> None:
    """At a low rate the requests count: a slow machine does not lower it."""
    pace = Pace(rate, lambda: 10.0)
    pace.begins(ADDRESS, rate)
    pace.charge(ADDRESS, 0.99 * paid)
    assert pace.begins(ADDRESS, 0) == 0
    pace.charge(ADDRESS, 3 * paid)
    assert pace.begins(ADDRESS, 0) == pytest.approx(2 / rate)


def test_without_a_rate_nothing_is_charged() -> None:
    """Behind proxies only the headers identify the client."""
    pace = Pace(0)
    pace.charge(ADDRESS, 5.0)
    assert not pace
    assert pace.begins(ADDRESS) == 0


async def test_steps_are_counted_and_waits_are_not(clock: Clock) -> None:
    """Neither a long process pause within a step nor time after admission counts."""
    found = Cost()

    async def work() -> None:
        for seconds in (0.001, 0.002, 0.5):
            clock.now += seconds
            await asyncio.sleep(0)
        clock.now += 0.003
        found.admitted(is_server=False)
        clock.now += 0.004
        await asyncio.sleep(0)
        clock.now += 0.005

    async def other() -> None:
        for _ in range(10):
            clock.now += 1.0
            await asyncio.sleep(0)

    await asyncio.gather(found.of(work()), other())
    assert found.seconds == pytest.approx(0.001 + 0.002 + 0.01 + 0.003)
    assert found.counted == 1


def test_what_a_request_cost_is_taken_once() -> None:
    """The sender is charged the cost beyond what the request itself covers."""
    found = Cost()
    assert found.take() == 0
    found.seconds += PAID_SECONDS
    assert found.take() == 0
    found.seconds += 3 * PAID_SECONDS
    assert found.take() == pytest.approx(2 * PAID_SECONDS)
    assert found.take() == 0
    found.seconds += PAID_SECONDS
    assert found.take() == pytest.approx(PAID_SECONDS)


async def test_work_hears_of_its_cancellation() -> None:
    """Counting its steps hides neither its cancellation nor its exceptions."""
    heard: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            heard.append("cancelled")
            raise

    async def waits() -> None:
        await Cost().of(work())

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard == ["cancelled"]

    async def fails() -> None:
        raise ValueError("as it is")

    with pytest.raises(ValueError, match="as it is"):
        await Cost().of(fails())


@pytest.mark.usefixtures("dear_parser")
async def test_a_dear_refusal_is_charged_to_its_address(kept: Kept, clock: Clock) -> None:
    """Parsing and answering count, and nothing carries over to the connection's next request."""

    async def dear(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        clock.now += DEAR_SECONDS
        await hasty(scope, receive, send)

    one = Spoken(BoundedProtocol, dear)
    for number in (1, 2):
        await one.hear(PLAIN)
        assert kept.seconds == pytest.approx(number * 2 * DEAR_SECONDS)
    await one.end()
    assert kept.seconds == pytest.approx(4 * DEAR_SECONDS)


@pytest.mark.usefixtures("dear_parser")
@pytest.mark.parametrize("ending", [b"", b"bad header\r\n\r\n"], ids=["disconnected", "not HTTP"])
async def test_headers_that_become_no_request_are_charged(kept: Kept, ending: bytes) -> None:
    """At the end of the connection they count as one request, which covers a part."""
    one = Spoken(BoundedProtocol, hasty)
    await one.hear(PLAIN[:-2] + ending)
    await one.end()
    assert kept.seconds == pytest.approx(DEAR_SECONDS)
    assert kept.counted == [1]


async def test_a_connection_costs_its_first_request(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is charged once, also if no request follows."""
    monkeypatch.setattr(turns, "_OPENED_SECONDS", 0.1)
    for sent in (PLAIN + PLAIN, b""):
        kept.seconds = 0.0
        one = Spoken(BoundedProtocol, hasty)
        await one.hear(sent)
        await one.end()
        assert kept.seconds == pytest.approx(0.1, abs=0.05)


async def test_an_address_that_opens_and_resets_half_its_rate_is_over_it() -> None:
    """Such a connection counts as three requests: to accept, open and close it takes 0.15 ms on a busy machine."""
    now = 10.0
    pace = Pace(500, lambda: now)
    for number in range(20 * 250):
        now = 10.0 + number / 250
        one = ConnectionTurns(pace, ADDRESS)
        if not one.enters():
            break
        one.gone(is_idle=True)

    assert pace.is_over(ADDRESS)


@pytest.mark.usefixtures("dear_parser")
async def test_who_hangs_up_before_its_turn_pays_for_what_was_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request itself is not counted."""
    pace = Pace(RATE, lambda: 10.0)
    monkeypatch.setattr(BoundedProtocol, "places", Connections(100, 0))
    monkeypatch.setattr(BoundedProtocol, "pace", pace)
    pace.begins(ADDRESS, RATE)
    for number in (1, 2, 3):
        one = Spoken(BoundedProtocol, hasty)
        await one.hear(PLAIN)
        assert not one.answers
        await one.end()
        assert wait_of(pace) == RATE + number * DEAR_SECONDS / PAID_SECONDS


@pytest.mark.usefixtures("dear_parser")
async def test_a_request_that_gives_way_pays_for_what_was_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An evicted request stays counted; otherwise an address could evict its own oldest ones for free."""
    pace = Pace(RATE, lambda: 10.0)
    monkeypatch.setattr(BoundedProtocol, "places", Connections(100, 0))
    monkeypatch.setattr(BoundedProtocol, "pace", pace)
    pace.begins(ADDRESS, RATE)
    one = Spoken(BoundedProtocol, hasty)
    await one.hear(PLAIN)
    one.protocol.give_way()
    await one.end()
    assert wait_of(pace) == RATE + DEAR_SECONDS / PAID_SECONDS


@pytest.mark.usefixtures("dear_parser")
async def test_a_servers_request_pays_for_more_than_others(kept: Kept, gateway: LoneGateway) -> None:
    """A usual one keeps its rate on slow machines; an expensive one is charged, and so is any visitor's."""
    for headers in (gateway.server(), gateway.visitor()):
        one = Spoken(BoundedProtocol, gateway.front)
        lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
        await one.hear(post(b"/api/bridge/s1/events", b'{"event_id":"a"}', lines))
        assert [status for status, _ in one.answers] == [202]
        await one.end()
    assert kept.counted == [10, 0, 1, 0]
    assert kept.seconds == pytest.approx(2 * DEAR_SECONDS)


async def test_an_address_behind_proxies_is_charged_nothing(
    gateway: LoneGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One such connection carries requests of many addresses."""
    pace = Pace(0)
    monkeypatch.setattr(BoundedProtocol, "places", Connections(100, 0))
    monkeypatch.setattr(BoundedProtocol, "pace", pace)
    one = Spoken(BoundedProtocol, gateway.front)
    for _ in range(3):
        await one.hear(PLAIN)
    await one.end()
    assert [status for status, _ in one.answers] == [401] * 3
    assert not pace._turns


async def test_every_dear_refusal_is_bounded_and_charged(kept: Kept, gateway: LoneGateway) -> None:
    """Headers, offers, escapes, routes and credentials in all combinations are compared to a plain refusal."""

    async def measured(request: bytes) -> tuple[float, float]:
        BoundedProtocol.others.left = 1.0
        kept.seconds, began = 0.0, time.thread_time()
        one.protocol.data_received(request)
        for task in list(one.protocol.tasks):
            await task
        return time.thread_time() - began, kept.seconds

    too_dear, uncharged = {}, {}
    for name, request in refused():
        one = Spoken(BoundedProtocol, gateway.front)
        ratio, share = float("inf"), 0.0
        for _ in range(TRIES):
            took, charged = await measured(request)
            plain, _ = await measured(PLAIN)
            ratio, share = min(ratio, took / plain), max(share, charged / took)
            if ratio < DEAREST and share > LEAST_CHARGED:
                break
        else:
            too_dear[name], uncharged[name] = ratio, share
        await one.end()
    assert not too_dear, uncharged


async def test_an_offer_is_parsed_once(monkeypatch: pytest.MonkeyPatch, kept: Kept) -> None:
    """Only the framing headers are parsed again, for the body."""
    fed: list[int] = []
    parse = BoundedProtocol._parse
    monkeypatch.setattr(BoundedProtocol, "_parse", lambda self, data: (fed.append(len(data)), parse(self, data))[1])
    offer = b"connection: upgrade\r\nupgrade: h2c\r\n" + b"".join(b"x-%d: a\r\n" % number for number in range(90))
    one = Spoken(BoundedProtocol, echo)
    await one.hear(post(b"/" + b"a" * 2000, b"body", offer))
    assert one.answers == [(200, b"/" + b"a" * 2000 + b" body")]
    assert sum(fed[1:]) < 100
    assert len(one.protocol.headers) == 93
    await one.end()


async def test_a_path_without_a_page_never_reaches_the_framework(gateway: LoneGateway) -> None:
    """The query, which no page reads, does not reach it either."""
    asked: list[tuple[str, bytes]] = []

    async def page(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        asked.append((scope["path"], scope["query_string"]))
        await hasty(scope, receive, send)

    gateway.front._rest = page  # type: ignore[assignment]
    assert (await gateway.ask("GET", "/nothing")).json()["error_code"] == "not_found"
    one = Spoken(BoundedProtocol, gateway.front)
    await one.hear(b"GET /health?a=%41 HTTP/1.1\r\nhost: x\r\n\r\n")
    await one.end()
    assert asked == [("/health", b"")]


async def test_pages_are_those_of_the_framework(gateway: LoneGateway) -> None:
    """A page that is missing from the list would never be answered."""
    front = create_app(gateway.services.settings)
    assert {route.path for route in front._rest.routes} == PAGES  # type: ignore[attr-defined]
