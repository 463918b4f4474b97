"""Upgrade offers over real sockets, cut at every byte: never more answers than requests."""

import asyncio
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest
from support.infrastructure.sockets import read_all
from support.processes.api import api
from support.processes.gateway import gateway

from schemas.config.settings import Settings

INNER = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
AT_ONCE = 40
LAST = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@pytest.fixture
def port_of_gateway(settings: Settings, key: str, tmp_path: Path) -> Iterator[int]:
    """The port of a gateway that knows the key."""
    with gateway(settings, tmp_path / "log", gateway_address_requests_per_second=0) as found:
        yield found.address[1]


@pytest.fixture
def port_of_api(settings: Settings, tmp_path: Path) -> Iterator[int]:
    """The port of an API."""
    with api(settings, tmp_path / "log", api_requests_per_second=0) as found:
        yield int(found.url.rpartition(":")[2])


def asked(first: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    return b"".join([first, b" HTTP/1.1\r\nhost: x\r\n", *lines, b"content-length: %d\r\n\r\n%s" % (len(body), body)])


async def statuses(port: int, *cut: tuple[bytes, ...]) -> list[list[int]]:
    """The status of each answer until the server closes, for bytes sent over one connection in separate reads."""
    opened = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in cut))
    ports = [writer.get_extra_info("sockname")[1] for _, writer in opened]
    try:
        for parts in zip_longest(*cut, fillvalue=b""):
            for (_, writer), part in zip(opened, parts, strict=True):
                writer.write(part)
            await read_all(port, *ports)
        answers = await asyncio.gather(*(asyncio.wait_for(reader.read(), 60) for reader, _ in opened))
        return [[int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)] for answer in answers]
    finally:
        for _, writer in opened:
            writer.close()


async def answered_at_every_cut(port: int, whole: bytes, expected: list[int]) -> None:
    """Check that the answers are these, at whichever byte the request is cut in two."""
    for begin in range(1, len(whole), AT_ONCE):
        cuts = range(begin, min(begin + AT_ONCE, len(whole)))
        found = await statuses(port, *((whole[:cut], whole[cut:]) for cut in cuts))
        assert found == [expected] * len(cuts), begin


async def test_the_gateway_takes_no_body_for_a_request(port_of_gateway: int, key: str) -> None:
    """The first request of a connection, and one behind another; CONNECT opens no tunnel."""
    shown = b"authorization: Bearer %s\r\n" % key.encode()
    events = b"POST /api/bridge/s1/events"
    offering = asked(events, OFFER, shown, body=INNER) + LAST
    # It is read as a body, which is not an event.
    await answered_at_every_cut(port_of_gateway, offering, [400, 200])
    before = asked(events, shown, body=b'{"event_id":"a"}')
    await answered_at_every_cut(port_of_gateway, before + offering, [202, 400, 200])
    await opens_no_tunnel(port_of_gateway)


async def test_the_api_takes_no_body_for_a_request(port_of_api: int) -> None:
    """The body is skipped also where the API refuses without reading; CONNECT opens no tunnel."""
    await answered_at_every_cut(port_of_api, asked(b"POST /v1/plans", OFFER, body=INNER) + LAST, [401, 200])
    await opens_no_tunnel(port_of_api)


async def opens_no_tunnel(port: int) -> None:
    """Check that CONNECT is refused and that the bytes behind it are not read as a request."""
    whole = asked(b"CONNECT /health", body=INNER)
    assert await statuses(port, (whole,), (whole[: -len(INNER)], INNER)) == [[400], [400]]
