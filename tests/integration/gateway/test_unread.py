"""Unread answers: the gateway closes such connections, and answers stay within their sender's share."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from support.processes.gateway import Gateway, bearer, gateway
from support.wait import wait_until

from schemas.config.settings import Settings

EVENTS = "/api/bridge/s1/events"
CONNECTIONS = 8
PAGES = 16
PAGE = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"


@contextmanager
def unread(found: Gateway) -> Iterator[None]:
    """As many connections as allowed, each with pending answers larger than the sockets' buffers."""
    opened = []
    try:
        for _ in range(CONNECTIONS):
            one = socket.socket()
            opened.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
            # A network's segment size: loopback's larger segments would hold all of the answers.
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
            one.connect(found.address)
            one.sendall(PAGE * PAGES)
        yield
    finally:
        for one in opened:
            one.close()


async def test_connections_whose_answers_nobody_reads_give_way(settings: Settings, key: str, tmp_path: Path) -> None:
    """A client without credential cannot hold all connections by leaving its answers unread."""
    bounds = {
        "gateway_max_connections": CONNECTIONS,
        "gateway_address_connections_share": 1,
        "gateway_address_requests_per_second": 0,
        "gateway_keep_alive": "5m",
    }
    with gateway(settings, tmp_path / "log", **bounds) as found, unread(found):

        async def taken() -> bool:
            async with httpx.AsyncClient(base_url=found.url, timeout=20) as client:
                answer = await client.post(EVENTS, content=b'{"event_id":"a"}', headers=bearer(key))
            assert answer.status_code in (202, 429, 503), answer.text
            return answer.status_code == 202

        await asyncio.to_thread(_buffers_are_full, found)
        await wait_until(taken, budget_seconds=20, describe="a place for another connection")


def _buffers_are_full(found: Gateway) -> None:
    """The gateway has filled the sockets' buffers, since it answers on its own connection only after that."""
    with socket.create_connection(found.address, 20) as one:
        one.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        while one.recv(4096):
            pass
