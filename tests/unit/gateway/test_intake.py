"""The share of an event loop's iteration that parsing takes over all connections, and its order."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.processes.lone_gateway import lone_gateway
from support.processor_time import Clock
from support.spoken import Spoken, echo, hasty, post
from support.wait import wait_until

from bridge.api.server import ApiProtocol
from bridge.http.wire.connections import Connections
from bridge.http.wire.intake import Intake
from bridge.http.wire.protocol import BoundedProtocol
from bridge.http.wire.request_pace import Pace

GET = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
DEAR_SECONDS = 0.0005
AT_ONCE = 2
"""The number of expensive requests that are parsed, and begin, in one iteration."""
BEGUN_AT_ONCE = 5
ADDRESS = "127.0.0.1"


@pytest.fixture(params=[BoundedProtocol, ApiProtocol])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[BoundedProtocol]:
    """The gateway's and the API's protocol."""
    found: type[BoundedProtocol] = request.param
    for name, bound in (("places", Connections(1000, 0)), ("pace", Pace(0)), ("first", Intake()), ("others", Intake())):
        monkeypatch.setattr(found, name, bound)
    return found


@pytest.fixture
def parsed(kind: type[BoundedProtocol], clock: Clock, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses whose requests were parsed, each of which takes time."""
    addresses: list[str] = []
    on_url = kind.on_url

    def dear(self: BoundedProtocol, url: bytes) -> None:
        clock.now += DEAR_SECONDS
        addresses.append(self.address)
        on_url(self, url)

    monkeypatch.setattr(kind, "on_url", dear)
    return addresses


@pytest.fixture
def pieces(kind: type[BoundedProtocol], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the pieces that were parsed."""
    lengths: list[int] = []
    parse = kind._parse_slice
    monkeypatch.setattr(kind, "_parse_slice", lambda self, data: (lengths.append(len(data)), parse(self, data))[1])
    return lengths


async def by_iteration(seen: list[str], most: int) -> list[int]:
    """The count before now and in each iteration of the loop, until `total` are seen."""
    counts = [len(seen)]
    while len(seen) < most and len(counts) < 1000:
        await asyncio.sleep(0)
        counts.append(len(seen))
    return [after - before for before, after in zip([0, *counts], counts, strict=False)]


async def ended(many: list[Spoken]) -> None:
    for one in many:
        await one.end()


async def test_what_is_ready_at_once_is_parsed_over_many_iterations(
    kind: type[BoundedProtocol], parsed: list[str]
) -> None:
    """No connection is read further before its bytes are parsed, however many are ready."""
    many = [Spoken(kind, hasty, f"127.0.1.{number}") for number in range(60)]
    for one in many:
        one.protocol.data_received(GET)
    assert [one.wire.reads for one in many] == [True] * AT_ONCE + [False] * (60 - AT_ONCE)
    counts = await by_iteration(parsed, 60)
    assert len(parsed) == 60
    assert max(counts) <= AT_ONCE
    assert all(one.wire.reads for one in many)
    await ended(many)


@pytest.mark.usefixtures("clock")
async def test_bodies_that_end_at_once_are_taken_over_many_iterations(kind: type[BoundedProtocol]) -> None:
    """Their requests go on, which takes longer than parsing the end of a body."""
    ended_bodies: list[str] = []

    async def counted(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        while (await receive())["more_body"]:
            pass
        ended_bodies.append(scope["path"])
        await hasty(scope, receive, send)

    many = [Spoken(kind, counted, f"127.0.1.{number}") for number in range(100)]
    for one in many:
        one.protocol.data_received(post(b"/a", b"x" * 10)[:-1])
        await wait_until(
            lambda one=one: one.wire.reads and not one.protocol._unparsed, budget_seconds=20, describe="the head"
        )  # type: ignore[misc]
    for one in many:
        one.protocol.data_received(b"x")
    counts = await by_iteration(ended_bodies, 100)

    assert len(ended_bodies) == 100
    assert max(counts) <= 2 * BEGUN_AT_ONCE
    await ended(many)


@pytest.mark.usefixtures("clock")
async def test_what_begins_is_reckoned_too(kind: type[BoundedProtocol]) -> None:
    """Answers take longer than parsing, so few requests begin in one iteration."""
    begun: list[str] = []

    async def counted(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        begun.append(scope["path"])
        await hasty(scope, receive, send)

    many = [Spoken(kind, counted, f"127.0.1.{number}") for number in range(200)]
    for one in many:
        one.protocol.data_received(GET)
    counts = await by_iteration(begun, 200)
    assert len(begun) == 200
    # Requests of the read may begin in the same iteration as those that waited.
    assert max(counts) <= 2 * BEGUN_AT_ONCE
    await ended(many)


async def test_addresses_take_turns(kind: type[BoundedProtocol], parsed: list[str]) -> None:
    """An address with many connections is served last for most of them."""
    many = [Spoken(kind, hasty, "127.0.1.1") for _ in range(60)]
    few = [Spoken(kind, hasty, f"127.0.2.{number}") for number in range(3)]
    for one in many + few:
        one.protocol.data_received(GET)
    await by_iteration(parsed, 63)
    assert {*parsed[AT_ONCE : AT_ONCE + 6]} == {"127.0.1.1", "127.0.2.0", "127.0.2.1", "127.0.2.2"}
    await ended(many + few)


async def test_a_servers_connection_does_not_wait_behind_strangers(
    kind: type[BoundedProtocol], parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server's connection has priority after its first admitted request; a visitor's never has."""
    if kind is ApiProtocol:
        pytest.skip("the API knows no servers")
    monkeypatch.setattr(kind, "pace", Pace(1e6))
    async with lone_gateway() as gateway:
        known = []
        for address, headers in (("127.0.2.1", gateway.server()), ("127.0.2.2", gateway.visitor())):
            lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
            known.append(
                (Spoken(kind, gateway.front, address), post(b"/api/bridge/s1/events", b'{"event_id":"a"}', lines))
            )
        for one, request in known:
            await one.hear(request)
            assert [status for status, _ in one.answers] == [202]
        parsed.clear()
        many = [Spoken(kind, hasty, f"127.0.1.{number}") for number in range(60)]
        for stranger in many:
            stranger.protocol.data_received(GET)
        for one, request in known:
            one.protocol.data_received(request)
        assert len(parsed) <= AT_ONCE + 1
        assert parsed[-1] == "127.0.2.1"
        await ended([*many, *(one for one, _ in known)])


async def test_an_address_that_owes_waits_until_it_has_paid(
    kind: type[BoundedProtocol], parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the body of a begun request is parsed meanwhile; other addresses continue."""
    now = 10.0
    monkeypatch.setattr(kind, "pace", Pace(100, lambda: now))
    begun = Spoken(kind, echo, ADDRESS)
    await begun.hear(post(b"/a", b"body")[:-2])
    kind.pace.begins(ADDRESS, 110)
    kind.others.left = 0.0
    many = [Spoken(kind, hasty, ADDRESS) for _ in range(3)]
    other = Spoken(kind, hasty, "127.0.0.2")
    for one in (*many, other):
        one.protocol.data_received(GET)
    await begun.hear(b"dy")
    assert begun.answers == [(200, b"/a body")]
    assert other.answers
    assert parsed == [ADDRESS, "127.0.0.2"]
    now += 10
    await wait_until(lambda: all(one.answers for one in many), budget_seconds=10, describe="the answers")
    await ended([*many, other, begun])


async def test_bytes_of_who_has_hung_up_are_not_parsed(kind: type[BoundedProtocol], parsed: list[str]) -> None:
    """The next connection gets the turn."""
    many = [Spoken(kind, hasty, f"127.0.1.{number % 20}") for number in range(60)]
    for one in many:
        one.protocol.data_received(GET)
    for one in many:
        one.protocol.connection_lost(None)
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(parsed) == AT_ONCE
    await asyncio.gather(*(task for one in many for task in one.protocol.tasks))


async def test_a_connection_whose_bytes_wait_for_their_turn_is_not_late(
    kind: type[BoundedProtocol], parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the header nor the keep-alive time-out applies to it."""
    assert not parsed
    monkeypatch.setattr(kind, "header_seconds", 0.0)
    many = [Spoken(kind, hasty, f"127.0.1.{number}") for number in range(20)]
    for one in many:
        one.protocol.data_received(GET[:-2])
    waiting = many[-1]
    assert not waiting.wire.reads
    waiting.protocol._late()
    waiting.protocol.timeout_keep_alive_handler()
    assert not waiting.wire.closed
    await ended(many)


@pytest.mark.parametrize(
    "request_",
    [GET, post(b"/a", b'{"a": 1}' * 1000), CHUNKED + b"1\r\nx\r\n0\r\n\r\n"],
    ids=["none", "plain", "chunked"],
)
async def test_a_request_alone_is_parsed_at_once(
    kind: type[BoundedProtocol], pieces: list[int], request_: bytes
) -> None:
    """A single request is parsed in one piece on arrival."""
    one = Spoken(kind, echo)
    one.protocol.data_received(request_)
    assert pieces == [len(request_)]
    assert one.wire.reads
    await one.hear(b"")
    assert [status for status, _ in one.answers] == [200]
    await one.end()


@pytest.mark.parametrize(
    "data",
    [b"\r\n" * 16_000, CHUNKED + b"4\r\n\r\n\r\n\r\n" * 900, post(b"/a", b"\r\n" * 20_000)],
    ids=["before a request", "chunks", "a body"],
)
async def test_what_looks_like_ends_of_headers_is_not_parsed_in_tiny_pieces(
    kind: type[BoundedProtocol], pieces: list[int], data: bytes
) -> None:
    """Each piece costs the loop as much as a hundred bytes."""
    one = Spoken(kind, echo)
    await one.hear(data)
    await wait_until(lambda: sum(pieces) >= len(data), budget_seconds=10, describe="all of it to be parsed")
    assert len(pieces) <= len(data) / 128 + 2
    await one.end()


@pytest.mark.parametrize(("count", "status"), [(16, 200), (17, 431)])
async def test_a_body_has_few_trailers(kind: type[BoundedProtocol], count: int, status: int) -> None:
    """Trailers are unused, and each costs the loop as much as a header."""
    one = Spoken(kind, echo)
    await one.hear(CHUNKED + b"1\r\nx\r\n0\r\n" + b"a:\r\n" * count + b"\r\n")
    assert [found for found, _ in one.answers] == [status]
    assert (b"more than 16 trailers" in one.wire.written) == (status == 431)
    await one.end()


async def test_trailers_of_a_refused_body_are_few(kind: type[BoundedProtocol], monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit also holds after the answer."""
    seen: list[bytes] = []
    on_header = kind.on_header

    def counted(self: BoundedProtocol, name: bytes, value: bytes) -> None:
        seen.append(name)
        on_header(self, name, value)

    monkeypatch.setattr(kind, "on_header", counted)
    one = Spoken(kind, hasty)
    await one.hear(CHUNKED + b"1\r\nx\r\n0\r\n" + b"a:\r\n" * 6400 + b"\r\n")
    assert one.wire.closed
    assert len(seen) < 25
    await one.end()
