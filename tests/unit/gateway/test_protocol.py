"""The HTTP protocol with input split at every byte: one answer per request, and never another request's."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from support.spoken import Spoken, echo, hasty, post, spoken
from support.wait import wait_until

from bridge.api.server import ApiProtocol
from bridge.http.problems import Code
from bridge.http.wire.connections import Connections
from bridge.http.wire.protocol import BoundedProtocol

MOST_AHEAD = 8
"""The number of the shortest requests that fit the smallest parsed piece."""
INNER = b"GET /inner HTTP/1.1\r\nhost: x\r\n\r\n"
OFFER = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"


@pytest.fixture(params=[BoundedProtocol, ApiProtocol])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[BoundedProtocol]:
    """The gateway's and the API's protocol."""
    found: type[BoundedProtocol] = request.param
    monkeypatch.setattr(found, "places", Connections(10, 0))
    return found


STREAMS = {
    "a body": [post(b"/a", INNER, OFFER)],
    "chunks": [b"POST /a HTTP/1.1\r\nhost: x\r\n" + OFFER + CHUNKED % (len(INNER), INNER)],
    "no body": [b"GET /a HTTP/1.1\r\nhost: x\r\n" + OFFER + b"\r\n", INNER],
    "second": [post(b"/a", b"one"), post(b"/b", INNER, OFFER), post(b"/c", b"three")],
    "twice": [post(b"/a", INNER, OFFER), post(b"/b", INNER, OFFER)],
    "websocket": [post(b"/a", INNER, b"Connection: UPGRADE\r\nUpGrade:websocket\r\nupgrade: \tfoo\r\n")],
    "last": [b"POST /a HTTP/1.1\r\ncontent-length: 2\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n{}"],
    "trailers": [b"POST /a HTTP/1.1\r\n" + (CHUNKED % (2, b"{}"))[:-2] + OFFER + b"\r\n", INNER],
    "HTTP/1.0": [post(b"/a", INNER, OFFER, b"1.0")],
    "closing": [post(b"/a", INNER, b"connection: upgrade, close\r\nupgrade: h2c\r\n")],
    "nothing offered": [post(b"/a", INNER), INNER],
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
async def test_an_offer_is_passed_over_however_it_is_cut(kind: type[BoundedProtocol], stream: list[bytes]) -> None:
    """Each request is answered once, in order, with its own body; a body is never a request."""
    whole = b"".join(stream)
    expected = []
    for one in stream:
        path = one.split(b" ")[1]
        body = INNER if INNER in one[1:] else one.partition(b"\r\n\r\n")[2]
        expected.append((200, path + b" " + (b"{}" if b"{}" in body else body)))
    for cut in range(1, len(whole)):
        assert (await spoken(kind, echo, whole[:cut], whole[cut:])).answers == expected, cut
    assert (await spoken(kind, echo, *[whole[at : at + 1] for at in range(len(whole))])).answers == expected


REFUSED = {
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%s" % (len(INNER), INNER),
    "CONNECT with a path": b"CONNECT /a HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%s" % (len(INNER), INNER),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + INNER,
    "two lengths": post(b"/a", INNER, OFFER + b"transfer-encoding: chunked\r\n"),
    "an unknown coding": b"POST /a HTTP/1.1\r\n" + OFFER + b"transfer-encoding: gzip\r\n\r\n" + INNER,
}


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED.keys())
async def test_what_has_no_clear_end_is_refused_and_ends_the_connection(
    kind: type[BoundedProtocol], request_: bytes
) -> None:
    """Such a request gets one answer and ends the connection; earlier requests are answered."""
    for cut in range(1, len(request_)):
        alone = await spoken(kind, echo, request_[:cut], request_[cut:])
        assert [status for status, _ in alone.answers] == [400], cut
        assert alone.wire.closed
    first = post(b"/a", b"one")
    both = first + request_
    for cut in range(1, len(both)):
        second = await spoken(kind, echo, both[:cut], both[cut:])
        assert second.answers[0] == (200, b"/a one"), cut
        assert [status for status, _ in second.answers[1:]] in ([], [400])
        assert second.wire.closed


@pytest.mark.parametrize(("version", "statuses"), [(b"1.1", [100, 200]), (b"1.0", [200])], ids=["HTTP/1.1", "HTTP/1.0"])
async def test_an_expectation_is_met_for_who_knows_of_it(
    kind: type[BoundedProtocol], version: bytes, statuses: list[int]
) -> None:
    """HTTP/1.0 gets no interim answer, and an upgrade offer changes nothing."""
    for more in (b"", OFFER):
        whole = post(b"/a", INNER, b"expect: 100-continue\r\n" + more, version)
        for cut in range(1, len(whole)):
            found = (await spoken(kind, echo, whole[:cut], whole[cut:])).answers
            assert [status for status, _ in found] == statuses
            assert found[-1][1] == b"/a " + INNER


async def test_a_broken_body_is_answered_once(kind: type[BoundedProtocol]) -> None:
    """An answer that was sent before the body broke stays the only one."""
    whole = b"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nno number\r\n" + INNER
    for cut in range(1, len(whole)):
        early = await spoken(kind, hasty, whole[:cut], whole[cut:])
        assert [status for status, _ in early.answers] in ([401], [400]), cut
        late = await spoken(kind, echo, whole[:cut], whole[cut:])
        assert [status for status, _ in late.answers] == [400], cut
        assert early.wire.closed
        assert late.wire.closed


async def begun(_scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """Begin a response before the body has arrived, and send the rest never."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    while (await receive())["type"] != "http.disconnect":
        pass


async def test_a_begun_answer_has_no_other_in_it(kind: type[BoundedProtocol]) -> None:
    """A body that breaks after the beginning of an answer ends the connection without a second answer."""
    head = b"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"

    one = await spoken(kind, begun, head, b"no number\r\n")

    assert [status for status, _ in one.answers] == [200]
    assert one.wire.closed


async def test_requests_that_come_at_once_are_all_answered(kind: type[BoundedProtocol]) -> None:
    """Pipelined requests are answered in order; few are parsed ahead, and reading pauses meanwhile."""
    ahead, held = [], []

    async def counting(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        ahead.append(len(one.protocol.pipeline))
        held.append(not one.wire.reads)
        await echo(scope, receive, send)

    one = Spoken(kind, counting)
    await one.hear(b"".join(INNER.replace(b"/inner", b"/inner%d" % number) for number in range(40)))
    assert one.answers == [(200, b"/inner%d " % number) for number in range(40)]
    assert max(ahead) <= MOST_AHEAD
    assert all(held[:30])
    assert one.wire.reads
    await one.end()


async def test_an_answer_that_is_not_read_ends_the_connection(
    kind: type[BoundedProtocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection ends after a time-out; an answer that is read late continues."""
    monkeypatch.setattr("bridge.http.wire.unread_limit._MOST_SECONDS", 0.01)
    read, unread = Spoken(kind, echo), Spoken(kind, echo)
    for one in (read, unread):
        one.protocol.pause_writing()
    read.protocol.resume_writing()
    await wait_until(lambda: unread.wire.closed, budget_seconds=10, describe="the unread one to be closed")
    assert not read.wire.closed
    for one in (read, unread):
        await one.end()


async def test_a_client_that_reads_too_slowly_ends_the_connection(
    kind: type[BoundedProtocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of all pauses counts together; a client gains time by what it reads."""
    monkeypatch.setattr("bridge.http.wire.unread_limit._MOST_SECONDS", 0.5)
    quick, slow = Spoken(kind, echo), Spoken(kind, echo)
    unsent = {quick: 0, slow: 0}
    for one in (quick, slow):
        monkeypatch.setattr(one.wire, "get_write_buffer_size", partial(unsent.get, one))

    def read_on() -> bool:
        for one, read in ((quick, 64 * 1024), (slow, 10)):
            unsent[one] = 0
            one.protocol.resume_writing()
            unsent[one] = read
            one.protocol.pause_writing()
        return slow.wire.closed

    await wait_until(read_on, budget_seconds=10, describe="the slow one to be closed")
    assert not quick.wire.closed
    for one in (quick, slow):
        await one.end()


CLOSING = b"GET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
KEPT = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize("drains", [False, True], ids=["closed", "closed in the drain"])
async def test_the_last_answer_of_a_connection_is_read_in_time(
    kind: type[BoundedProtocol], monkeypatch: pytest.MonkeyPatch, drains: bool
) -> None:
    """Transports wait for their clients without a limit, and a drain waits for the connections."""
    monkeypatch.setattr(f"bridge.http.wire.lingering_close.{'_IDLE' if drains else '_UNREAD'}_SECONDS", 0.01)
    aborted: list[bool] = []
    one = Spoken(kind, echo)
    monkeypatch.setattr(one.wire, "get_write_buffer_size", lambda: 1000)
    monkeypatch.setattr(one.wire, "abort", lambda: aborted.append(True))
    one.protocol.timeout_keep_alive = 3600
    await one.hear(KEPT if drains else CLOSING)

    if drains:
        one.protocol.shutdown()

    await wait_until(lambda: aborted, budget_seconds=10, describe="the connection to be aborted")
    await one.end()


async def test_an_answer_that_is_not_read_ends_soon_in_a_drain(
    kind: type[BoundedProtocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that does not read would keep the process until the time limit of the drain."""
    monkeypatch.setattr("bridge.http.wire.unread_limit._HASTY_SECONDS", 0.01)
    one = Spoken(kind, begun)
    await one.hear(KEPT)
    one.protocol.pause_writing()

    one.protocol.shutdown()

    await wait_until(lambda: one.wire.closed, budget_seconds=10, describe="the connection to be closed")
    await one.end()


class Guest:
    """A connection without any traffic."""

    def give_way(self) -> None:
        return


async def test_a_connection_gives_way_during_an_answer_that_is_not_read(
    kind: type[BoundedProtocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the client does not read, the request in flight does not protect the connection."""
    places = Connections(1, 0)
    monkeypatch.setattr(kind, "places", places)
    one = Spoken(kind, begun)
    await one.hear(INNER)
    one.protocol.pause_writing()
    one.protocol.resume_writing()
    assert places.enter(Guest(), "a") is Code.OVERLOADED

    one.protocol.pause_writing()

    assert places.enter(Guest(), "a") is None
    assert one.wire.closed
    await one.end()


UPLOAD = b"POST /b HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n"


async def test_an_upload_has_the_place_of_its_beginning(
    kind: type[BoundedProtocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that starts an upload is no longer idle, so a newer idle one is evicted first."""
    places = Connections(2, 0)
    monkeypatch.setattr(kind, "places", places)
    uploading, idle = Spoken(kind, echo), Spoken(kind, echo)
    await uploading.hear(UPLOAD + b"some")

    assert places.enter(Guest(), "a") is None
    assert (idle.wire.closed, uploading.wire.closed) == (True, False)
    await uploading.hear(b" more")
    assert uploading.answers == [(200, b"/b some more")]
    for one in (uploading, idle):
        await one.end()


async def test_a_body_behind_a_request_in_flight_does_not_end_it(
    kind: type[BoundedProtocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time-out of a later body starts once the request in flight is answered."""
    places = Connections(1, 0)
    monkeypatch.setattr(kind, "places", places)
    go_on = asyncio.Event()

    async def slowly(scope: Any, receive: Any, send: Any) -> None:
        await go_on.wait()
        await echo(scope, receive, send)

    one = Spoken(kind, slowly)
    await one.hear(INNER + UPLOAD)
    await one.hear(b"some")
    one.protocol.pause_writing()
    one.protocol.resume_writing()
    assert places.enter(Guest(), "a") is Code.OVERLOADED
    assert not one.wire.closed

    go_on.set()
    await one.hear(b" ")
    assert one.answers == [(200, b"/inner ")]
    assert places.enter(Guest(), "a") is None
    assert one.wire.closed
    await one.end()
