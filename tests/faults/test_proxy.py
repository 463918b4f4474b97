"""The proxy: it forwards traffic, and each of its faults has the effect of its name."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from support.wait import wait_until

from bridge.dev.stack.ports import LOOPBACK, choose
from tools.faults.proxy import Proxy

BUDGET = 10


class Echo:
    """A server that echoes every chunk and keeps the received bytes."""

    def __init__(self) -> None:
        self.got = b""
        self.closed = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1024):
                self.got += data
                writer.write(data)
                await writer.drain()
        self.closed += 1
        writer.close()


@asynccontextmanager
async def proxied() -> AsyncIterator[tuple[Proxy, Echo, asyncio.StreamReader, asyncio.StreamWriter]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, LOOPBACK, 0)
    proxy = Proxy(
        choose(asked=None, remembered=None, taken=(), purpose="the proxy"), server.sockets[0].getsockname()[1]
    )
    await proxy.start()
    reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
    try:
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.readexactly(5), BUDGET) == b"hello"
        yield proxy, echo, reader, writer
    finally:
        writer.close()
        await proxy.stop()
        server.close()


async def test_a_cut_ends_what_is_open_and_refuses_what_is_new() -> None:
    async with proxied() as (proxy, _, reader, _writer):
        assert proxy.cut() == 1
        assert await asyncio.wait_for(reader.read(), BUDGET) == b""
        late, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        assert await asyncio.wait_for(late.read(), BUDGET) == b""
        writer.close()
        proxy.refusing = False
        again, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
        writer.write(b"back")
        assert await asyncio.wait_for(again.readexactly(4), BUDGET) == b"back"
        writer.close()


async def test_a_reset_is_one() -> None:
    async with proxied() as (proxy, _, reader, _writer):
        assert proxy.reset() == 1
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), BUDGET)


async def test_what_is_stalled_comes_later_and_whole() -> None:
    async with proxied() as (proxy, echo, reader, writer):
        proxy.stall()
        writer.write(b"later")
        await writer.drain()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(5), 0.2)
        assert echo.got == b"hello"
        proxy.flow()
        assert await asyncio.wait_for(reader.readexactly(5), BUDGET) == b"later"


async def test_half_open_is_silence() -> None:
    """The server receives the end of the connection; the client receives nothing, even after it sends."""
    async with proxied() as (proxy, echo, reader, writer):
        assert proxy.half_open() == 1
        await wait_until(lambda: echo.closed, budget_seconds=BUDGET, describe="the server hears the end")
        writer.write(b"anybody?")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(), 0.2)
        assert echo.got == b"hello"


async def test_a_commit_without_an_answer_was_made() -> None:
    """The server receives the COMMIT; the client is reset before the response."""
    async with proxied() as (proxy, echo, reader, writer):
        proxy.commits_to_lose = 1
        writer.write(b"Q\x00\x00\x00\x0cCOMMIT;\x00")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), BUDGET)
        assert echo.got.endswith(b"COMMIT;\x00")
        assert (proxy.commits_lost, proxy.commits_to_lose) == (1, 0)


async def test_latency_and_bandwidth_take_their_time() -> None:
    async with proxied() as (proxy, _, reader, writer):
        loop = asyncio.get_running_loop()
        proxy.latency = 0.1
        began = loop.time()
        writer.write(b"slow?")
        await asyncio.wait_for(reader.readexactly(5), BUDGET)
        assert loop.time() - began >= 0.2
        proxy.latency, proxy.bytes_per_second = 0.0, 50.0
        began = loop.time()
        writer.write(b"slow!")
        await asyncio.wait_for(reader.readexactly(5), BUDGET)
        assert loop.time() - began >= 0.2
