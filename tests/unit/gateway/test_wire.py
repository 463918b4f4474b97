"""A connection's cost before the application: how fast requests begin, and how bodies are framed."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.processes.lone_gateway import lone_gateway
from support.spoken import Spoken, echo, hasty, post
from support.wait import wait_until

from bridge.api.server import ApiProtocol
from bridge.http.body import CLIENT_GONE
from bridge.http.wire.connections import Connections
from bridge.http.wire.protocol import BoundedProtocol
from bridge.http.wire.request_pace import Pace

GET = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
READ_BYTES = 256 * 1024
FEW_READS = 4


@pytest.fixture(params=[BoundedProtocol, ApiProtocol])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[BoundedProtocol]:
    """The gateway's and the API's protocol."""
    found: type[BoundedProtocol] = request.param
    monkeypatch.setattr(found, "places", Connections(100, 0))
    return found


@pytest.fixture
def parsed(kind: type[BoundedProtocol], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The length of each body piece from the parser."""
    lengths: list[int] = []
    on_body = kind.on_body

    def counted(self: BoundedProtocol, body: bytes) -> None:
        lengths.append(len(body))
        on_body(self, body)

    monkeypatch.setattr(kind, "on_body", counted)
    return lengths


def paced(monkeypatch: pytest.MonkeyPatch, rate: float) -> None:
    monkeypatch.setattr(BoundedProtocol, "places", Connections(100, 0))
    monkeypatch.setattr(BoundedProtocol, "pace", Pace(rate))


async def test_an_address_begins_requests_at_its_rate_whatever_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a burst they begin at the rate; all are answered, and other addresses do not wait."""
    rate, each = 40, 10
    paced(monkeypatch, rate)
    began = time.monotonic()
    answered: list[float] = []

    async def refusing(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["client"][0] == "127.0.0.1":
            answered.append(time.monotonic() - began)
        await hasty(scope, receive, send)

    flood = [Spoken(BoundedProtocol, refusing) for _ in range(8)]
    for one in flood:
        await one.hear(GET * each)
    other = Spoken(BoundedProtocol, refusing, "127.0.0.2")
    await other.hear(GET)
    assert len(other.answers) == 1
    await wait_until(lambda: len(answered) == 8 * each, budget_seconds=30, describe="all to be answered")
    for number, seconds in enumerate(answered, 1):
        assert number <= rate + rate * seconds + 1
    for one in (*flood, other):
        await one.end()


async def test_new_connections_of_an_address_count_as_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a few seconds' worth they are closed immediately; others' are kept."""
    paced(monkeypatch, 1)
    opened = []
    for _ in range(20):
        opened.append(Spoken(BoundedProtocol, hasty))
        if not opened[-1].wire.closed:
            await opened[-1].hear(GET)
    other = Spoken(BoundedProtocol, hasty, "127.0.0.2")
    await other.hear(GET)
    assert sum(not one.wire.closed for one in opened) == 7
    assert sum(len(one.answers) for one in opened) <= 2
    assert len(other.answers) == 1
    for one in (*opened, other):
        await one.end()


async def test_a_request_that_never_begins_costs_its_address_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later requests do not wait for one whose client has disconnected. Its processor time is charged, not its number."""
    paced(monkeypatch, 4)
    monkeypatch.setattr(Pace, "charge", lambda *_: None)
    # A connection that is lost before its request is parsed counts.
    monkeypatch.setattr(BoundedProtocol.others, "left", 10.0)
    one = Spoken(BoundedProtocol, hasty)
    for _ in range(3):
        await one.hear(GET)
    assert len(one.answers) == 3
    for _ in range(20):
        gone = Spoken(BoundedProtocol, hasty)
        await gone.hear(GET)
        await gone.end()
    assert BoundedProtocol.pace.begins("127.0.0.1") < 1
    await one.end()


async def test_a_connection_in_wait_for_its_turn_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting is not work: a few addresses must not occupy all connections."""
    paced(monkeypatch, 1)
    monkeypatch.setattr(BoundedProtocol, "places", Connections(2, 0))
    first, second = Spoken(BoundedProtocol, hasty), Spoken(BoundedProtocol, hasty)
    for one in (first, second):
        await one.hear(GET * 2)
    other = Spoken(BoundedProtocol, hasty, "127.0.0.2")
    await other.hear(GET)
    assert first.wire.closed
    assert [status for status, _ in other.answers] == [401]
    for one in (first, second, other):
        await one.end()


@pytest.mark.parametrize("application", [echo, hasty])
async def test_a_body_of_tiny_chunks_is_refused(
    kind: type[BoundedProtocol], parsed: list[int], application: Any
) -> None:
    """The limit on their number holds whether the application reads the body or not."""
    one = Spoken(kind, application)
    await one.hear(CHUNKED + b"1\r\n \r\n" * (READ_BYTES // 6))
    assert one.wire.closed
    if application is echo:
        assert [status for status, _ in one.answers] == [413]
        assert b"more than 1024 chunks of less than 64 bytes on average" in one.wire.written
    assert len(parsed) < 1100
    await one.end()


@pytest.mark.parametrize(("count", "size"), [(1000, 1), (3000, 70)])
async def test_a_body_of_some_small_chunks_is_taken(kind: type[BoundedProtocol], count: int, size: int) -> None:
    """A reasonable number of small chunks is accepted."""
    one = Spoken(kind, echo)
    await one.hear(CHUNKED + (b"%x\r\n%s\r\n" % (size, b"x" * size)) * count + b"0\r\n\r\n" + GET)
    assert [(status, len(body)) for status, body in one.answers] == [(200, 3 + count * size), (200, 3)]
    await one.end()


@pytest.mark.parametrize("piece", [b"1;" + b"a" * 8000 + b"\r\n \r\n", b"1;" + b"a" * READ_BYTES], ids=["many", "one"])
async def test_a_body_that_is_mostly_framing_is_refused(kind: type[BoundedProtocol], piece: bytes) -> None:
    """Chunk extensions are no content and only cost time."""
    one = Spoken(kind, echo)
    await one.hear(CHUNKED)
    for _ in range(FEW_READS):
        await one.hear(piece * (READ_BYTES // len(piece) or 1))
    assert [status for status, _ in one.answers] == [413]
    assert b"more bytes frame" in one.wire.written
    await one.end()


async def test_the_framing_of_chunks_is_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Framing costs as much as content."""
    monkeypatch.setattr(BoundedProtocol, "places", Connections(100, 0))
    async with lone_gateway(gateway_script_bytes_per_second=1000) as gateway:
        one = Spoken(BoundedProtocol, gateway.front)
        credential = gateway.server()["authorization"].encode()
        await one.hear(
            CHUNKED.replace(b"/a", b"/api/bridge/s1/events")[:-2] + b"authorization: " + credential + b"\r\n\r\n"
        )
        await one.hear(b'10\r\n{"event_id":"a"}\r\n' + b"1\r\n \r\n" * 1000 + b"0\r\n\r\n")
        assert [status for status, _ in one.answers] == [202]
        assert (await gateway.post(gateway.server(), b'{"event_id":"a"}')).status == 429
        await one.end()


@pytest.mark.parametrize("head", [CHUNKED, b"POST /a HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n"])
async def test_the_rest_of_a_long_body_is_not_read_after_the_answer(
    kind: type[BoundedProtocol], parsed: list[int], head: bytes
) -> None:
    """The answer closes the connection."""
    one = Spoken(kind, hasty)
    await one.hear(head)
    assert [status for status, _ in one.answers] == [401]
    assert b"connection: close\r\n" in one.wire.written
    one.protocol.data_received(b"10000\r\n" + b"x" * 65536 + b"\r\n")
    assert not parsed
    await one.end()


async def test_the_rest_of_a_short_body_keeps_the_connection(kind: type[BoundedProtocol]) -> None:
    """Many clients send headers and body separately."""
    one, whole = Spoken(kind, hasty), post(b"/a", b"x" * 1000)
    await one.hear(whole[:-500])
    await one.hear(whole[-500:] + GET)
    assert [status for status, _ in one.answers] == [401, 401]
    assert b"connection: close" not in one.wire.written
    await one.end()


async def test_a_connection_whose_refused_body_came_late_gives_way(kind: type[BoundedProtocol]) -> None:
    """No request is in flight on it; otherwise anyone could occupy all connections without a token."""
    one, whole = Spoken(kind, hasty), post(b"/a", b"x")
    one.protocol.places = table = Connections(1, 0)
    table.enter(one.protocol, "a")
    await one.hear(whole[:-1])
    await one.hear(whole[-1:])
    assert [status for status, _ in one.answers] == [401]
    assert table.enter(Spoken(kind, hasty).protocol, "b") is None
    await one.end()


async def test_a_long_body_that_is_whole_keeps_the_connection(kind: type[BoundedProtocol]) -> None:
    """A long body is handled like any other body."""
    one = Spoken(kind, echo)
    await one.hear(post(b"/a", b"x" * 100_000))
    await one.hear(CHUNKED + b"2\r\n{}\r\n0\r\n\r\n" + GET)
    assert [status for status, _ in one.answers] == [200] * 3
    assert b"connection: close" not in one.wire.written
    await one.end()


@pytest.mark.parametrize(
    ("url", "status"),
    [
        (b"/a" + b"%41" * 256, 200),
        (b"/a" + b"%" * 257, 431),
        (b"/a?token=" + b"%41" * 1024, 200),
        (b"/a?token=" + b"%" * 1025, 431),
    ],
    ids=["a path", "a path beyond", "a query", "a query beyond"],
)
async def test_a_url_has_few_percent_signs(kind: type[BoundedProtocol], url: bytes, status: int) -> None:
    """Decoding them costs more than the whole refusal, before the sender is known."""
    one = Spoken(kind, hasty if status == 431 else echo)
    await one.hear(b"GET " + url + b" HTTP/1.1\r\nhost: x\r\n\r\n")
    assert [found for found, _ in one.answers] == [status]
    await one.end()


async def test_what_was_read_is_parsed_in_slices(kind: type[BoundedProtocol], parsed: list[int]) -> None:
    """Other tasks run between the slices, and reading pauses meanwhile."""
    one, body = Spoken(kind, echo), b"x" * READ_BYTES
    one.protocol.data_received(post(b"/a", body))
    assert sum(parsed) <= 64 * 1024
    assert not one.wire.reads
    await wait_until(lambda: bool(one.wire.written), budget_seconds=10, describe="the answer")
    assert one.answers == [(200, b"/a " + body)]
    assert max(parsed) <= 64 * 1024
    assert one.wire.reads
    await one.end()


async def test_who_hangs_up_before_its_answer_is_sent_is_known_to_be_gone(kind: type[BoundedProtocol]) -> None:
    """The disconnect is known even if pipelined requests follow, which uvicorn reports instead."""
    seen: list[bool] = []

    async def unread(scope: Any, _receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        one.protocol.pause_writing()
        await send({"type": "http.response.body", "body": b"cd"})
        seen.append(CLIENT_GONE in scope)

    one = Spoken(kind, unread)
    await one.hear(GET * 3)
    one.wire.closed = True
    one.protocol.connection_lost(ConnectionResetError())
    await asyncio.gather(*one.protocol.tasks)
    assert seen == [True]
    assert one.wire.written.endswith(b"ab")
