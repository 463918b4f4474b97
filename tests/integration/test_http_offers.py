"""Offers of another protocol over real sockets, cut at every byte: never more answers than requests."""

import asyncio
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.api import api
from support.gateway import gateway
from support.sockets import read_all

from schemas.settings import Settings

INNER = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
LAST = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@pytest.fixture
def port_of_gateway(settings: Settings, tmp_path: Path) -> Iterator[int]:
    """A gateway's port."""
    with gateway(settings, tmp_path / "log") as found:
        yield found.address[1]


@pytest.fixture
def port_of_api(settings: Settings, tmp_path: Path) -> Iterator[int]:
    """An API's port."""
    with api(settings, tmp_path / "log", api_requests_per_second=0) as found:
        yield int(found.url.rpartition(":")[2])


def asked(first: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    return b"".join([first, b" HTTP/1.1\r\nhost: x\r\n", *lines, b"content-length: %d\r\n\r\n%s" % (len(body), body)])


async def statuses(port: int, *parts: bytes) -> list[int]:
    """Those of all answers to what is sent so, each part read by itself, until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            writer.write(part)
            await read_all(port, writer.get_extra_info("sockname")[1])
        answers = await asyncio.wait_for(reader.read(), 30)
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answers)]
    finally:
        writer.close()


async def test_the_gateway_takes_no_body_for_a_request(port_of_gateway: int, key: str) -> None:
    """The first of a connection, and one behind another."""
    shown = b"authorization: Bearer %s\r\n" % key.encode()
    events = b"POST /api/bridge/s1/events"
    for before in (b"", asked(events, shown, body=b'{"event_id":"a"}')):
        whole = before + asked(events, OFFER, shown, body=INNER) + LAST
        expected = [202, 202, 200] if before else [202, 200]
        for cut in range(1, len(whole)):
            assert await statuses(port_of_gateway, whole[:cut], whole[cut:]) == expected, cut
    taken = asked(events, shown, OFFER, body=b'{"event_id":"b"}')
    assert await statuses(port_of_gateway, taken[:-16], taken[-16:], LAST) == [202, 200]

    await opens_no_tunnel(port_of_gateway)


async def test_the_api_takes_no_body_for_a_request(port_of_api: int) -> None:
    """Also where it refuses without reading."""
    whole = asked(b"POST /v1/plans", OFFER, body=INNER) + LAST
    for cut in range(1, len(whole)):
        assert await statuses(port_of_api, whole[:cut], whole[cut:]) == [401, 200], cut
    await opens_no_tunnel(port_of_api)


async def opens_no_tunnel(port: int) -> None:
    """CONNECT is refused, and what is behind it is no request."""
    whole = asked(b"CONNECT /health", body=INNER)
    assert await statuses(port, whole) == [400]
    assert await statuses(port, whole[: -len(INNER)], INNER) == [400]
