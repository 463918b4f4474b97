"""Requests in many small pieces: their connections rest, and are read again in turns."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.spoken import Spoken, echo, hasty, post
from support.wait import wait_until

from bridge.api.server import ApiProtocol
from bridge.http.body import BODY_BYTES
from bridge.http.wire import small_pieces
from bridge.http.wire.connections import Connections
from bridge.http.wire.protocol import BoundedProtocol
from bridge.http.wire.request_pace import Pace
from bridge.http.wire.small_pieces import SmallPieces

AT_ONCE = 10
CHUNKED = b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture(params=[BoundedProtocol, ApiProtocol])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[BoundedProtocol]:
    """The gateway's and the API's protocol."""
    found: type[BoundedProtocol] = request.param
    for name, bound in (("places", Connections(1000, 0)), ("pace", Pace(0)), ("slow", SmallPieces())):
        monkeypatch.setattr(found, name, bound)
    monkeypatch.setattr(small_pieces, "AT_ONCE", AT_ONCE)
    return found


@pytest.mark.parametrize(
    ("before", "piece"),
    [(b"", b"G"), (b"", b"GET /a HTTP/1.1\r\nhost: "), (b"", b"\r\n"), (CHUNKED, b"1"), (CHUNKED + b"0\r\n", b"a: b\r\n")],
    ids=["byte", "head", "blank", "size", "trailer"],
)  # fmt: skip
async def test_a_connection_rests_after_a_piece_that_completes_nothing(
    kind: type[BoundedProtocol], before: bytes, piece: bytes
) -> None:
    one = Spoken(kind, echo)
    if before:
        one.protocol.data_received(before)
        await wait_until(lambda: one.wire.reads, budget_seconds=20, describe="reading after the head")
    one.protocol.data_received(piece)

    assert not one.wire.reads
    await wait_until(lambda: one.wire.reads, budget_seconds=20, describe="reading again")
    await one.end()


async def test_a_whole_request_and_a_body_in_pieces_rest_nowhere(kind: type[BoundedProtocol]) -> None:
    one = Spoken(kind, echo)
    whole = post(b"/a", b"0123456789")
    for part in (whole[:-5], whole[-5:]):
        one.protocol.data_received(part)
        assert one.wire.reads
    await one.hear(post(b"/b", b"x"))
    assert [status for status, _ in one.answers] == [200, 200]
    await one.end()


async def test_a_body_in_many_small_pieces_rests_after_the_first_ones(kind: type[BoundedProtocol]) -> None:
    """A large piece does not: an upload takes as long as its client needs."""
    body = b"x" * 100_000
    one = Spoken(kind, echo)
    one.protocol.data_received(post(b"/a", body)[: -len(body)])
    read = []
    for size in (60, 60, 60, 60, 60, 60, 20_000, 60):
        await wait_until(lambda: one.wire.reads, budget_seconds=20, describe="reading")
        one.protocol.data_received(body[:size])
        read.append(one.wire.reads)
        body = body[size:]

    assert read == [True, True, True, True, False, False, True, False]
    await wait_until(lambda: one.wire.reads, budget_seconds=20, describe="reading")
    await one.hear(body)
    assert [status for status, _ in one.answers] == [200]
    await one.end()


async def test_small_parts_of_a_body_do_not_wake_the_application(kind: type[BoundedProtocol]) -> None:
    """The application gets a body in parts of some kilobytes, and the rest at its end."""
    parts: list[int] = []

    async def counting(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        async def counted() -> Any:
            message = await receive()
            parts.append(len(message["body"]))
            assert scope[BODY_BYTES] >= sum(parts)
            return message

        await echo(scope, counted, send)

    one = Spoken(kind, counting)
    body = b"x" * 20_000
    one.protocol.data_received(post(b"/a", body)[: -len(body)])
    for begin in range(0, len(body), 100):
        one.protocol.data_received(body[begin : begin + 100])
        await asyncio.sleep(0)
    await wait_until(lambda: one.answers, budget_seconds=20, describe="the answer")

    assert sum(parts) == len(body)
    assert len(parts) == 3
    await one.end()


async def test_bytes_after_a_refusal_are_dropped_in_turns(kind: type[BoundedProtocol]) -> None:
    one = Spoken(kind, hasty)
    one.protocol.data_received(post(b"/a", b"0123456789")[:-10])
    await wait_until(lambda: one.wire.closed, budget_seconds=20, describe="the close after the refusal")
    one.wire.reads = True
    one.protocol.data_received(b"0")

    assert not one.wire.reads
    await one.end()


async def test_few_connections_are_read_again_at_once_and_addresses_take_turns(kind: type[BoundedProtocol]) -> None:
    """Of 60 connections of one address and one of another, ten are read at once, the other's among them."""
    many = [Spoken(kind, echo, "127.0.1.1") for _ in range(60)]
    other = Spoken(kind, echo, "127.0.2.1")
    for one in [*many, other]:
        one.protocol.data_received(b"G")

    counts = []
    while not all(one.wire.reads for one in many):
        before = sum(one.wire.reads for one in many)
        await asyncio.sleep(0)
        if now := sum(one.wire.reads for one in many) - before:
            counts.append(now)
            assert other.wire.reads
    assert max(counts) <= AT_ONCE
    for one in [*many, other]:
        await one.end()


async def test_a_closed_connection_leaves_the_others_their_turn(kind: type[BoundedProtocol]) -> None:
    gone, stays = Spoken(kind, echo), Spoken(kind, echo)
    for one in (gone, stays):
        one.protocol.data_received(b"G")
    gone.protocol.connection_lost(None)

    await wait_until(lambda: stays.wire.reads, budget_seconds=20, describe="reading again")
    await stays.hear(post(b"/a", b"x")[1:].replace(b"OST", b"ET", 1))
    assert [status for status, _ in stays.answers] == [200]
    await stays.end()
