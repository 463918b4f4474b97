"""Clients that mean harm, or are broken: each is refused or cut off, others are served, and the memory is bounded."""

import asyncio
import gzip
import resource
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from support.gateway import Gateway, bearer, gateway, raw_connection, raw_records
from support.wait import wait_until

from schemas.settings import Settings

EVENTS = "/api/bridge/s1/events"
MEGABYTE = 1024 * 1024
IDLE = 2000


@pytest.fixture
async def running(settings: Settings, key: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway with short time-outs, which serves others before, during and after."""
    with gateway(
        settings, tmp_path / "log", gateway_header_timeout="2s", gateway_body_timeout="2s", gateway_keep_alive="3s"
    ) as found:
        await served(found, key)
        before = found.memory_mb()
        yield found
        await served(found, key)
        assert found.memory_mb() < before + 100


async def served(found: Gateway, key: str) -> None:
    """Another client is served, and quickly."""
    async with httpx.AsyncClient(base_url=found.url, timeout=5) as client:
        answer = await client.post(EVENTS, content=b'{"event_id":"a"}', headers=bearer(key))
        assert answer.status_code == 202, answer.text


def head(key: str, *lines: str) -> bytes:
    own = (f"POST {EVENTS} HTTP/1.1", "host: x", f"authorization: Bearer {key}", *lines)
    return "\r\n".join(own).encode() + b"\r\n"


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the other side hangs up."""
    try:
        return await asyncio.wait_for(reader.read(), 15)
    except ConnectionError:
        return b""


async def test_thousands_of_idle_connections(running: Gateway, key: str) -> None:
    """They say nothing, or begin and stop; others are served meanwhile, and they are hung up on."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    opened = await asyncio.gather(*(asyncio.open_connection(*running.address) for _ in range(IDLE)))
    try:
        for number, (_, writer) in enumerate(opened):
            if number % 2:
                writer.write(head(key)[:40])
        await served(running, key)
        ended = await asyncio.gather(*(answer_of(reader) for reader, _ in opened))
        assert set(ended) == {b""}
    finally:
        for _, writer in opened:
            writer.close()


async def test_headers_that_trickle_are_not_waited_for(running: Gateway, key: str) -> None:
    """A line a time keeps nothing open: the time is that of all headers."""
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
    """Before they have ended."""
    async with raw_connection(running.address) as (reader, writer):
        writer.write(head(key) + lines)
        answer = await answer_of(reader)
        # Whoever goes on sending may not get to read it.
        assert answer == b"" or b"headers_too_large" in answer or b"invalid_header" in answer


async def test_a_slow_body_gets_408(running: Gateway, key: str) -> None:
    """However it trickles in."""
    async with raw_connection(running.address) as (reader, writer):
        writer.write(head(key, "content-length: 1000") + b"\r\n")
        ending = asyncio.create_task(answer_of(reader))
        while not ending.done():
            writer.write(b"x")
            await asyncio.wait([ending], timeout=0.2)
        assert b" 408 " in ending.result()
        assert b"body_timeout" in ending.result()


@pytest.mark.parametrize("announced", [True, False])
async def test_a_hundred_megabytes_are_not_read(running: Gateway, key: str, announced: bool) -> None:
    """Refused by what it announces, or by what has come."""
    async with raw_connection(running.address) as (reader, writer):
        length = "content-length: 104857600" if announced else "transfer-encoding: chunked"
        writer.write(head(key, length) + b"\r\n")
        chunk = b"x" * 65536 if announced else b"10000\r\n" + b"x" * 65536 + b"\r\n"
        ending = asyncio.create_task(answer_of(reader))
        for _ in range(1600):
            if ending.done() or writer.is_closing():
                break
            writer.write(chunk)
            try:
                await asyncio.wait_for(writer.drain(), 5)
            except (ConnectionError, TimeoutError):
                break
        answer = await ending
        assert answer == b"" or b"body_too_large" in answer


@pytest.mark.parametrize("length", ["9" * 400, "-1", "1e3", "5, 5", "0x10"])
async def test_absurd_lengths_are_refused(running: Gateway, key: str, length: str) -> None:
    """By the parser, or by the bound."""
    async with raw_connection(running.address) as (reader, writer):
        writer.write(head(key, f"content-length: {length}") + b"\r\n")
        assert (await answer_of(reader)).split(b" ", 2)[1] in (b"400", b"413")


async def test_two_lengths_smuggle_nothing(running: Gateway, key: str) -> None:
    """A request that could be cut in two ways is refused."""
    async with raw_connection(running.address) as (reader, writer):
        writer.write(head(key, "content-length: 5", "transfer-encoding: chunked") + b"\r\n0\r\n\r\n")
        assert b" 400 " in await answer_of(reader)


async def test_bombs_and_nesting(running: Gateway, settings: Settings, key: str) -> None:
    """What inflates beyond the bound is refused; what nests too deep is the stream's to refuse."""
    bomb = gzip.compress(b"\0" * (100 * MEGABYTE), mtime=0)
    deep = b'[{"event_id":"deep","properties":' + b"[" * 1100 + b"]" * 1100 + b'},{"event_id":"b"}]'
    async with httpx.AsyncClient(base_url=running.url, timeout=20) as client:
        refused = await client.post(EVENTS, content=bomb, headers=bearer(key) | {"content-encoding": "gzip"})
        assert (refused.status_code, refused.json()["error_code"]) == (413, "body_too_large")
        taken = await client.post(EVENTS, content=deep, headers=bearer(key))
        assert (taken.status_code, taken.json()["accepted"]) == (202, 2)
    values = [record.value for record in await raw_records(settings)]
    assert deep[1:].partition(b",{")[0] in values


async def test_headers_of_a_request_inject_nothing(running: Gateway, settings: Settings, key: str) -> None:
    """Ids that are no ids, a header of the stream's own, and a path with a line break come to nothing."""
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
    """In the middle of its body."""
    for _ in range(50):
        async with raw_connection(running.address) as (_, writer):
            writer.write(head(key, "content-length: 900000") + b"\r\n" + b"x" * 1000)
            await writer.drain()

    async def nothing_left() -> bool:
        async with httpx.AsyncClient(base_url=running.url) as client:
            figures = (await client.get("/metrics")).text
        return 'bridge_gateway_bytes_in_flight{what="bodies"} 0.0' in figures

    await wait_until(nothing_left, budget_seconds=20, describe="no bytes in hand")
