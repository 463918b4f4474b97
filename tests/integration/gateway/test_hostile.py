"""Hostile or broken clients: each is refused or cut off, others are served, and the memory is bounded."""

import asyncio
import gzip
import re
import resource
import select
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from support.infrastructure.sockets import read_all
from support.processes.gateway import Gateway, bearer, gateway, next_answer, raw_connection, raw_records
from support.wait import wait_until

from schemas.config.settings import Settings
from sinks.postgres.tokens.script_tokens import create_token

EVENTS = "/api/bridge/s1/events"
OTHER_EVENTS = "/api/bridge/s2/events"
MEGABYTE = 1024 * 1024
IDLE = 2000
AT_ONCE = 40
MOST_MORE_MB = 100
BOMB = gzip.compress(b"\0" * (100 * MEGABYTE), mtime=0)


@pytest.fixture
async def other_key(settings: Settings) -> str:
    """An API key of s2."""
    return (await create_token(settings.dsn, "s2")).text


@pytest.fixture
async def running(settings: Settings, key: str, other_key: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway with short time-outs that serves other clients before and after the test."""
    with gateway(
        settings,
        tmp_path / "log",
        cold=True,
        gateway_header_timeout="2s",
        gateway_body_timeout="2s",
        gateway_keep_alive="3s",
    ) as found:
        await served(found, other_key)
        before = found.memory_mb()
        yield found
        await served(found, other_key)
        assert found.memory_mb(most=True) < before + MOST_MORE_MB


async def served(found: Gateway, other_key: str) -> None:
    """Check that another script's server is served within five seconds from another address."""
    elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx.AsyncClient(base_url=found.url, timeout=5, transport=elsewhere) as client:
        answer = await client.post(OTHER_EVENTS, content=b'{"event_id":"a"}', headers=bearer(other_key))
        assert answer.status_code == 202, answer.text


def head(key: str, *lines: str) -> bytes:
    own = (f"POST {EVENTS} HTTP/1.1", "host: x", f"authorization: Bearer {key}", *lines)
    return "\r\n".join(own).encode() + b"\r\n"


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    """All bytes until the peer closes the connection."""
    parts: list[bytes] = []
    with suppress(ConnectionError):
        async with asyncio.timeout(15):
            while part := await reader.read(65536):
                parts.append(part)
    return b"".join(parts)


async def test_thousands_of_idle_connections(running: Gateway, key: str, other_key: str) -> None:
    """Half send nothing, half a partial request; others are served meanwhile, and the gateway closes all of them."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    opened = await asyncio.gather(*(asyncio.open_connection(*running.address) for _ in range(IDLE)))
    try:
        for number, (_, writer) in enumerate(opened):
            if number % 2:
                writer.write(head(key)[:40])
        await served(running, other_key)
        ended = await asyncio.gather(*(answer_of(reader) for reader, _ in opened))
        assert set(ended) == {b""}
    finally:
        for _, writer in opened:
            writer.close()


async def test_headers_that_trickle_are_not_waited_for(running: Gateway, key: str) -> None:
    """The time-out covers all headers together, so that single lines don't extend it."""
    async with raw_connection(running.address) as (reader, writer):
        writer.write(head(key))
        began = time.monotonic()
        ending = asyncio.create_task(answer_of(reader))
        while not ending.done():
            writer.write(b"x-more: 1\r\n")
            await asyncio.wait([ending], timeout=0.2)
        assert ending.result() == b""
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "lines",
    [b"x-large: " + b"x" * MEGABYTE, b"".join(b"x-%d: y\r\n" % number for number in range(50_000)), b"x" * MEGABYTE],
)
async def test_large_headers_are_refused(running: Gateway, key: str, lines: bytes) -> None:
    """Headers over the limit are refused before they end."""
    async with raw_connection(running.address) as (reader, writer):
        writer.write(head(key) + lines)
        answer = await answer_of(reader)
        assert b"headers_too_large" in answer or b"invalid_header" in answer
    assert await refused(running, "headers_too_large", "invalid_header") == 1


@pytest.mark.parametrize(
    ("lines", "rest", "status"),
    [
        ([f"content-length: {4 * MEGABYTE}", ""], b"x" * 65536, 413),
        (["content-length: 1000", ""], b"x", 408),
        (["x-large: " + "x" * 40_000, "x-more: 1"], b"x" * 65536, 431),
        (["transfer-encoding: chunked", "", "no number"], b"x" * 65536, 400),
    ],
)
async def test_a_refusal_reaches_who_is_still_sending(
    running: Gateway, key: str, lines: list[str], rest: bytes, status: int
) -> None:
    """The gateway reads on after a refusal, so that a client that is still sending receives the answer.

    Unread bytes would reset the connection and discard the answer.
    """

    def deaf() -> bytes:
        with socket.create_connection(running.address, 30) as sender:
            sender.sendall(head(key, *lines))
            # The answer has arrived; reading it now would avoid the case under test.
            assert select.select([sender], [], [], 30)[0]
            for _ in range(32):
                sender.sendall(rest)
            sender.shutdown(socket.SHUT_WR)
            parts = []
            while part := sender.recv(65536):
                parts.append(part)
            return b"".join(parts)

    assert b" %d " % status in (await asyncio.to_thread(deaf)).partition(b"\r\n")[0]


async def refused(found: Gateway, *codes: str) -> int:
    """The number of requests refused with these codes, of all scripts."""
    async with httpx.AsyncClient(base_url=found.url) as client:
        figures = (await client.get("/metrics")).text
    counts = re.findall(r'bridge_gateway_rejected_total\{error_code="(\w+)",script="\w+",site="\w+"\} (\d+)', figures)
    return sum(int(count) for code, count in counts if code in codes)


async def test_a_slow_body_gets_408(running: Gateway, key: str) -> None:
    """A body that trickles in gets 408 as well."""
    async with raw_connection(running.address) as (reader, writer):
        writer.write(head(key, "content-length: 1000") + b"\r\n")
        ending = asyncio.create_task(answer_of(reader))
        while not ending.done():
            writer.write(b"x")
            await asyncio.wait([ending], timeout=0.2)
        assert b" 408 " in ending.result()
        assert b"body_timeout" in ending.result()


@pytest.mark.parametrize("rest", [b"\r\n", b"x" * 10], ids=["line breaks", "the rest of a refused body"])
async def test_bytes_of_no_request_hold_no_connection(running: Gateway, rest: bytes) -> None:
    """After an answer only a new request keeps the connection open; trickling bytes don't."""
    length = 0 if rest.isspace() else 900_000
    async with raw_connection(running.address) as (reader, writer):
        writer.write(f"POST {EVENTS} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n".encode())
        assert b" 401 " in await asyncio.wait_for(reader.readuntil(b"}"), 30)
        began = time.monotonic()
        ending = asyncio.create_task(answer_of(reader))
        while not ending.done():
            writer.write(rest)
            await asyncio.wait([ending], timeout=0.2)
        assert ending.result() == b""
        assert time.monotonic() - began < 10


async def test_requests_that_come_at_once_are_all_answered(running: Gateway, key: str) -> None:
    """Pipelined requests are answered in order; the gateway leaves most of them unread meanwhile."""
    one = head(key, "content-length: 16") + b"\r\n" + b'{"event_id":"a"}'
    async with raw_connection(running.address) as (reader, writer):
        writer.write(one * 60)
        for _ in range(60):
            status, told = await next_answer(reader)
            assert status == 202, told


@pytest.mark.parametrize("announced", [True, False])
async def test_a_hundred_megabytes_are_not_read(running: Gateway, key: str, announced: bool) -> None:
    """The body is refused by its announced length, or by the bytes received."""
    async with raw_connection(running.address) as (reader, writer):
        length = "content-length: 104857600" if announced else "transfer-encoding: chunked"
        writer.write(head(key, length) + b"\r\n")
        chunk = b"x" * 65536 if announced else b"10000\r\n" + b"x" * 65536 + b"\r\n"
        ending = asyncio.create_task(answer_of(reader))
        written = await pour(writer, chunk, ending)
        assert b"body_too_large" in await ending
        # The gateway reads some of it so that the client sees the answer, and socket buffers hold some.
        assert written < 25 * MEGABYTE


async def pour(writer: asyncio.StreamWriter, chunk: bytes, ending: "asyncio.Task[bytes]") -> int:
    """Write up to a hundred megabytes in such chunks, and return the number of bytes written."""
    for number in range(1600):
        if ending.done() or writer.is_closing():
            return number * len(chunk)
        writer.write(chunk)
        try:
            await asyncio.wait_for(writer.drain(), 5)
        except (ConnectionError, TimeoutError):
            return number * len(chunk)
    return 1600 * len(chunk)


async def one_slow_body(found: Gateway, key: str) -> None:
    async with raw_connection(found.address) as (reader, writer):
        writer.write(head(key, "content-length: 900000") + b"\r\n" + b"x" * 100_000)
        assert b" 408 " in await answer_of(reader)


async def one_endless_body(found: Gateway, key: str) -> None:
    async with raw_connection(found.address) as (reader, writer):
        writer.write(head(key, "transfer-encoding: chunked") + b"\r\n")
        ending = asyncio.create_task(answer_of(reader))
        await pour(writer, b"10000\r\n" + b"x" * 65536 + b"\r\n", ending)
        await ending


async def one_bomb(found: Gateway, key: str) -> None:
    async with httpx.AsyncClient(base_url=found.url, timeout=30) as client:
        answer = await client.post(EVENTS, content=BOMB, headers=bearer(key) | {"content-encoding": "gzip"})
        assert answer.json()["error_code"] in ("body_too_large", "overloaded", "rate_limited")


async def one_large_header(found: Gateway, key: str) -> None:
    async with raw_connection(found.address) as (reader, writer):
        writer.write(head(key) + b"x-large: " + b"x" * MEGABYTE)
        await answer_of(reader)


@pytest.mark.parametrize("one", [one_slow_body, one_endless_body, one_bomb, one_large_header])
async def test_many_at_once_keep_nobody_out(
    running: Gateway, key: str, other_key: str, one: Callable[[Gateway, str], Awaitable[None]]
) -> None:
    """The peak memory stays bounded, and another client is served meanwhile."""
    attack = asyncio.gather(*(one(running, key) for _ in range(AT_ONCE)))
    while not attack.done():
        await served(running, other_key)
        await asyncio.wait([attack], timeout=0.1)
    await attack


async def test_bodies_are_held_within_their_bound(settings: Settings, key: str, tmp_path: Path) -> None:
    """Received bytes count against the bound; an announced length only against the limit of one body."""
    with gateway(settings, tmp_path / "log", gateway_max_bytes_in_flight=MEGABYTE) as found:
        async with raw_connection(found.address) as (_, first), raw_connection(found.address) as (reader, second):
            first.write(head(key, "content-length: 700000") + b"\r\n" + b"x" * 600_000)
            await wait_until(
                lambda: in_hand(found, 600_000), budget_seconds=30, describe="the first body's bytes to be counted"
            )
            async with httpx.AsyncClient(base_url=found.url, timeout=30) as client:
                answer = await client.post(EVENTS, content=b"{}", headers=bearer(key))
                assert answer.status_code == 202
            second.write(head(key, "content-length: 700000") + b"\r\n" + b"x" * 600_000)
            assert b"in flight" in await asyncio.wait_for(reader.readuntil(b"}"), 30)
        async with raw_connection(found.address) as (reader, third):
            third.write(head(key, f"content-length: {2 * MEGABYTE}") + b"\r\n")
            assert b"body_too_large" in await asyncio.wait_for(reader.readuntil(b"}"), 30)


async def in_hand(found: Gateway, size: int) -> bool:
    """Whether bodies of so many bytes are in flight."""
    async with httpx.AsyncClient(base_url=found.url) as client:
        figures = (await client.get("/metrics")).text
    return f'bridge_gateway_bytes_in_flight{{what="bodies"}} {size}.0' in figures


@pytest.mark.parametrize("length", ["9" * 400, "-1", "1e3", "5, 5", "0x10"])
async def test_absurd_lengths_are_refused(running: Gateway, key: str, length: str) -> None:
    """The parser or the body limit refuses such a length."""
    async with raw_connection(running.address) as (reader, writer):
        writer.write(head(key, f"content-length: {length}") + b"\r\n")
        assert (await answer_of(reader)).split(b" ", 2)[1] in (b"400", b"413")


async def test_two_lengths_smuggle_nothing(running: Gateway, key: str) -> None:
    """A request with two lengths is refused, as it could be split in two ways."""
    async with raw_connection(running.address) as (reader, writer):
        writer.write(head(key, "content-length: 5", "transfer-encoding: chunked") + b"\r\n0\r\n\r\n")
        assert b" 400 " in await answer_of(reader)


@pytest.mark.parametrize("apart", [False, True])
async def test_the_offer_of_another_protocol_loses_no_body(
    running: Gateway, settings: Settings, key: str, apart: bool
) -> None:
    """An upgrade to h2c, which Java's client and curl --http2 offer with each first request, is ignored.

    The body is read whole, also if its text looks like a header.
    """
    body = b'{"event_id":"h2c","properties":{"x":"\r\nUpgrade: no"}}'
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
    async with raw_connection(running.address) as (reader, writer):
        writer.write(head(key, *offer, f"content-length: {len(body)}") + b"\r\n" + (b"" if apart else body))
        if apart:
            await read_all(running.address[1], writer.get_extra_info("sockname")[1])
            writer.write(body)
        status, told = await next_answer(reader)
        assert status == 202, told
        writer.write(head(key, "content-length: 2") + b"\r\n{}")
        status, told = await next_answer(reader)
        assert status == 202, told
    assert body in [record.value for record in await raw_records(settings)]


async def test_trailers_are_no_headers(running: Gateway, key: str) -> None:
    """A trailer is neither a credential nor a request id."""
    chunked = f"POST {EVENTS} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n"
    async with raw_connection(running.address) as (reader, writer):
        writer.write(f"{chunked}authorization: Bearer {key}\r\nx-request-id: mine\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.readuntil(b"}"), 30)
        assert b" 401 " in answer
        assert b"token_missing" in answer
        assert b"mine" not in answer
    async with raw_connection(running.address) as (reader, writer):
        writer.write(chunked.encode() + b"x-large: " + b"x" * MEGABYTE)
        await answer_of(reader)


async def test_bombs_and_nesting(running: Gateway, settings: Settings, key: str) -> None:
    """A body that inflates beyond the limit is refused; too deep nesting is accepted and left to the stream."""
    deep = b'[{"event_id":"deep","properties":' + b"[" * 1100 + b"]" * 1100 + b'},{"event_id":"b"}]'
    async with httpx.AsyncClient(base_url=running.url, timeout=20) as client:
        refused = await client.post(EVENTS, content=BOMB, headers=bearer(key) | {"content-encoding": "gzip"})
        assert (refused.status_code, refused.json()["error_code"]) == (413, "body_too_large")
        taken = await client.post(EVENTS, content=deep, headers=bearer(key))
        assert (taken.status_code, taken.json()["accepted"]) == (202, 2)
    values = [record.value for record in await raw_records(settings)]
    assert deep[1:].partition(b",{")[0] in values


async def test_headers_of_a_request_inject_nothing(running: Gateway, settings: Settings, key: str) -> None:
    """Malformed ids, a header of the stream's own and a path with a line break have no effect."""
    headers = bearer(key) | {"x-request-id": "a b\t{}", "bridge-replay-id": "x", "bridge-event-id": "forged"}
    async with httpx.AsyncClient(base_url=running.url) as client:
        answer = await client.post(EVENTS, content=b'{"event_id":"mine"}', headers=headers)
        assert answer.status_code == 202
        assert answer.headers["x-request-id"].startswith("req-")
        for path in (
            "/api/bridge/s1%0d%0aset-cookie:%20a=b/events",
            "/api/bridge/%00/events",
            "/bridge/%2e%2e%2f%2e%2e/token",
        ):
            odd = await client.post(path, content=b"{}", headers=bearer(key))
            assert odd.status_code == 404
            assert "set-cookie" not in odd.headers
    (record,) = [one for one in await raw_records(settings) if b"mine" in one.value]
    assert not {"bridge-replay-id", "bridge-event-id"} & set(dict(record.headers))


async def test_a_client_that_hangs_up_leaves_nothing_behind(running: Gateway, key: str) -> None:
    """Disconnecting in the middle of a body leaves no bytes in flight."""
    for _ in range(50):
        async with raw_connection(running.address) as (_, writer):
            writer.write(head(key, "content-length: 900000") + b"\r\n" + b"x" * 1000)
            await writer.drain()

    await wait_until(lambda: in_hand(running, 0), budget_seconds=20, describe="no bytes in hand")
