"""Floods of refused requests without credential: an address is served at its rate, and no body without end is read."""

import asyncio
import re
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from support.processes.gateway import Gateway, bearer, gateway, raw_connection
from support.wait import wait_until

from schemas.config.settings import Settings

EVENTS = "/api/bridge/s1/events"
RATE = 40
CONNECTIONS = 6
MEGABYTE = 1024 * 1024
REFUSED = (
    "POST /api/bridge/nobody/events",
    f"POST {EVENTS}",
    "POST /bridge/s1/token",
    "GET /nothing",
    "GET /health",
    "GET /bridge/nobody.js",
    f"OPTIONS {EVENTS}",
    f"GET {EVENTS}",
)


async def elsewhere(found: Gateway, key: str) -> int:
    """The status of a post from another address."""
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx.AsyncClient(base_url=found.url, timeout=20, transport=transport) as client:
        return (await client.post(EVENTS, content=b'{"event_id":"a"}', headers=bearer(key))).status_code


async def test_an_address_is_answered_at_its_rate_whatever_it_asks(
    settings: Settings, key: str, tmp_path: Path
) -> None:
    """Refusals count against the address's rate like answers; requests beyond the rate wait for their turn."""
    asked = "".join(f"{line} HTTP/1.1\r\nhost: x\r\n\r\n" for line in REFUSED).encode() * 2
    answered: list[float] = []
    with gateway(settings, tmp_path / "log", gateway_address_requests_per_second=RATE) as found:
        began = time.monotonic()

        async def flood() -> None:
            async with raw_connection(found.address) as (reader, writer):
                writer.write(asked)
                for _ in range(2 * len(REFUSED)):
                    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
                    length = re.search(rb"content-length: (\d+)", head)
                    await reader.readexactly(int(length[1]) if length else 0)
                    answered.append(time.monotonic() - began)

        flooding = [asyncio.create_task(flood()) for _ in range(CONNECTIONS)]
        await wait_until(lambda: len(answered) > RATE // 2, budget_seconds=30, describe="the flood to begin")
        assert await elsewhere(found, key) == 202
        await asyncio.gather(*flooding)
    assert len(answered) == CONNECTIONS * 2 * len(REFUSED)
    for number, seconds in enumerate(answered, 1):
        assert number <= RATE + RATE * seconds + 1


@pytest.mark.parametrize("line", ["POST /health", "GET /", "GET /docs", "POST /nothing", f"POST {EVENTS}"])
@pytest.mark.parametrize(
    "piece", [b"1\r\n \r\n" * 10_000, b"10000\r\n" + b"x" * 65536 + b"\r\n"], ids=["tiny", "large"]
)
async def test_a_body_without_end_ends_the_connection(
    settings: Settings, key: str, tmp_path: Path, line: str, piece: bytes
) -> None:
    """The gateway closes the connection regardless of the route and the status."""
    with gateway(settings, tmp_path / "log") as found, socket.create_connection(found.address, 20) as sender:
        sender.sendall(f"{line} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        assert sender.recv(9) == b"HTTP/1.1 "
        sent = 0
        with suppress(OSError):
            while sent < 100 * MEGABYTE:
                sent += await asyncio.to_thread(sender.send, piece)
        # The gateway drops some so that the client sees the answer, and socket buffers hold up to 36 MB.
        assert sent < 60 * MEGABYTE
        assert await elsewhere(found, key) == 202


async def test_who_hangs_up_with_unread_answers_leaves_no_error(settings: Settings, tmp_path: Path) -> None:
    """The request is counted as 499, and nothing is written to the closed connection."""
    with gateway(settings, tmp_path / "log", gateway_address_requests_per_second=0) as found:
        for _ in range(4):
            with socket.socket() as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
                one.connect(found.address)
                one.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 16)
                # This answer comes only after the gateway has filled the first connection's buffers.
                assert (await _health(found)) == 200
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        async def told() -> bool:
            async with httpx.AsyncClient(base_url=found.url, timeout=20) as client:
                return 'route="other",status="499"' in (await client.get("/metrics")).text

        await wait_until(told, budget_seconds=20, describe="a request to be told as 499")
        assert found.stop() == 0
        log = found.log.read_text()
    assert "Exception in ASGI application" not in log
    assert '"level": "error"' not in log
    assert '"level":"error"' not in log


async def _health(found: Gateway) -> int:
    async with httpx.AsyncClient(base_url=found.url, timeout=20) as client:
        return (await client.get("/health")).status_code
