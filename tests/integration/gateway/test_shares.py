"""Fair shares: slow or full posts and idle connections of one sender don't keep out others."""

import asyncio
import gzip
import resource
import select
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from support.infrastructure.sockets import read_all
from support.processes.gateway import ORIGIN, Gateway, bearer, gateway

from schemas.config.settings import Settings
from sinks.postgres.registry.admin import add_script
from sinks.postgres.tokens.script_tokens import create_token

EVENTS = "/api/bridge/s1/events"
OTHER = "/api/bridge/s2/events"
MEGABYTE = 1024 * 1024
POSTS = 10
# Long time-outs, so that the open posts hold their share throughout the test.
PATIENT = {f"gateway_{name}": "5m" for name in ("header_timeout", "body_timeout", "body_grace", "keep_alive")}


@pytest.fixture
async def settings(settings: Settings) -> Settings:
    """Settings with an origin for the first script."""
    await add_script(settings.dsn, "s1", 1, origins=[ORIGIN])
    return settings


@pytest.fixture
async def other(settings: Settings) -> str:
    """An API key of s2."""
    return (await create_token(settings.dsn, "s2")).text


@pytest.fixture
def files() -> None:
    """Raise the limit of open files to the highest allowed."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def client(found: Gateway, address: str = "127.0.0.1") -> httpx.AsyncClient:
    """A client that connects from that address."""
    return httpx.AsyncClient(
        base_url=found.url, timeout=30, transport=httpx.AsyncHTTPTransport(local_address=address, verify=False)
    )


async def visitor(found: Gateway) -> dict[str, str]:
    """The headers of a page of s1 with a browser token."""
    async with client(found) as one:
        token = (await one.post("/bridge/s1/token", headers={"origin": ORIGIN})).json()["token"]
    return bearer(token) | {"origin": ORIGIN}


async def statuses(found: Gateway, path: str, headers: dict[str, str], address: str = "127.0.0.2") -> set[int]:
    """The statuses of some posts, each over a new connection and over a kept one."""
    seen: set[int] = set()
    async with client(found, address) as same:
        for _ in range(POSTS):
            async with client(found, address) as own:
                for one in (same, own):
                    seen.add((await one.post(path, content=b'{"event_id":"a"}', headers=headers)).status_code)
    return seen


def head(headers: dict[str, str], length: int) -> bytes:
    lines = [f"POST {EVENTS} HTTP/1.1", "host: x", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"content-length: {length}", "", ""]).encode()


@asynccontextmanager
async def open_posts(found: Gateway, count: int, sent: bytes, address: str = "127.0.0.1") -> AsyncIterator[None]:
    """That many connections from the address on which `sent` was sent and read."""
    opened = await asyncio.gather(
        *(asyncio.open_connection(*found.address, local_addr=(address, 0)) for _ in range(count))
    )
    try:
        for _, writer in opened:
            writer.write(sent)
            await writer.drain()
        await read_all(found.address[1], opened[-1][1].get_extra_info("sockname")[1])
        yield
    finally:
        for _, writer in opened:
            writer.transport.abort()


@pytest.mark.parametrize(
    ("count", "sent", "chunked"), [(64, 1, False), (200, 1, False), (200, 1, True), (30, MEGABYTE - 1, False)]
)
async def test_visitors_that_announce_and_wait_keep_nobody_out(
    settings: Settings, key: str, other: str, tmp_path: Path, count: int, sent: int, chunked: bool
) -> None:
    """With one byte of a megabyte sent or all but one, another script's posts are accepted.

    So are those of the same script's server and visitors.
    """
    with gateway(settings, tmp_path / "log", **PATIENT) as found:
        shown = await visitor(found)
        asked = head(shown, MEGABYTE)
        if chunked:
            asked = asked.replace(b"content-length: 1048576", b"transfer-encoding: chunked") + b"100000\r\n"
        async with open_posts(found, count, asked + b"[" * sent):
            assert await statuses(found, OTHER, bearer(other)) == {202}
            assert await statuses(found, EVENTS, bearer(key)) == {202}
            assert await statuses(found, EVENTS, shown) == {202}


@pytest.mark.parametrize("sender", ["visitor", "server"])
async def test_posts_whose_bodies_do_not_come_keep_nobody_out(
    settings: Settings, key: str, other: str, tmp_path: Path, sender: str
) -> None:
    """More unfinished posts than may be in flight, from several addresses: others are served.

    So are the same senders and new pages.
    """
    with gateway(settings, tmp_path / "log", gateway_max_requests=20, **PATIENT) as found:
        shown = await visitor(found)
        async with AsyncExitStack() as held:
            for address in ("127.0.0.1", "127.0.1.1", "127.0.1.2"):
                waiting = head(shown if sender == "visitor" else bearer(key), 100) + b"["
                await held.enter_async_context(open_posts(found, 40, waiting, address))
            assert await statuses(found, OTHER, bearer(other)) == {202}
            assert await statuses(found, EVENTS, bearer(key)) == {202}
            assert await statuses(found, EVENTS, shown) == {202}
            assert await visitor(found)


async def test_dear_bodies_that_come_at_once_let_others_posts_through(
    settings: Settings, key: str, other: str, tmp_path: Path
) -> None:
    """Of two hundred expensive small bodies, most still wait when another script's post is accepted."""
    deep = gzip.compress((b"[" + b'[{"":[{' * 3000)[:16_380], mtime=0)
    with gateway(settings, tmp_path / "log", gateway_script_bytes_per_second=0) as found:
        sent = head(bearer(key) | {"content-encoding": "gzip"}, len(deep)) + deep
        async with client(found, "127.0.0.2") as one:
            assert (await one.post(OTHER, content=b'{"event_id":"a"}', headers=bearer(other))).status_code == 202
            opened = [socket.create_connection(found.address, 30, ("127.0.1.1", 0)) for _ in range(200)]
            for each in opened:
                each.sendall(sent)
            assert (await one.post(OTHER, content=b'{"event_id":"b"}', headers=bearer(other))).status_code == 202
            answered = len(select.select(opened, [], [], 0)[0])
        try:
            assert {await asyncio.to_thread(each.recv, 12) for each in opened} == {b"HTTP/1.1 400"}
        finally:
            for each in opened:
                each.close()
        assert answered < 50


async def test_bodies_of_several_addresses_that_do_not_come_give_way(settings: Settings, tmp_path: Path) -> None:
    """Three unfinished bodies hold all bytes of the script's visitors: they give way to a fourth address's post."""
    with gateway(settings, tmp_path / "log", gateway_max_bytes_in_flight=16 * MEGABYTE, **PATIENT) as found:
        shown = await visitor(found)
        async with AsyncExitStack() as held:
            for number in range(3):
                waiting = head(shown, MEGABYTE) + b" " * (MEGABYTE - 1)
                await held.enter_async_context(open_posts(found, 1, waiting, f"127.0.1.{number + 1}"))
            async with client(found, "127.0.0.9") as one:
                body = b'[{"event_id":"a"}]' + b" " * 200_000
                assert (await one.post(EVENTS, content=body, headers=shown)).status_code == 202


async def test_a_body_below_the_least_rate_is_not_waited_for(settings: Settings, key: str, tmp_path: Path) -> None:
    """The connection is closed with 408 long before the body's time-out."""
    times = {"gateway_body_timeout": "10m", "gateway_body_grace": "1s", "gateway_min_body_rate": 1000}
    with gateway(settings, tmp_path / "log", **times) as found:
        reader, writer = await asyncio.open_connection(*found.address)
        writer.write(head(bearer(key), 100_000) + b"x" * 100)
        ending = asyncio.create_task(reader.read())
        while not ending.done():
            writer.write(b"x")
            await asyncio.wait([ending], timeout=0.1)
        assert b" 408 " in ending.result()
        assert b"after 1 s, the body must have arrived at 1000 bytes a second" in ending.result()
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"])
@pytest.mark.usefixtures("files")
async def test_idle_connections_of_one_address_keep_nobody_out(
    settings: Settings, other: str, tmp_path: Path, sent: bytes
) -> None:
    """Four thousand connections, unused or answered: other addresses' posts are accepted, and the same one's.

    Its rate of requests lets it open them: above it, its new connections are closed for some seconds.
    """
    with gateway(settings, tmp_path / "log", gateway_address_requests_per_second=5000, **PATIENT) as found:
        async with open_posts(found, 4100, sent):
            assert await statuses(found, OTHER, bearer(other)) == {202}
            assert await statuses(found, OTHER, bearer(other), "127.0.0.1") == {202}


@pytest.mark.parametrize(("hops", "has_begun"), [(0, False), (1, False), (0, True)])
async def test_under_pressure_idle_connections_give_way(
    settings: Settings, key: str, other: str, tmp_path: Path, hops: int, has_begun: bool
) -> None:
    """Idle connections give way to new ones: those of other addresses, behind a proxy, and with stalled bodies."""
    bounds = {"gateway_max_connections": 60, "gateway_forwarded_hops": hops} | PATIENT
    sent = head(bearer(key), 100) + b"x" if has_begun else b""
    addresses = ["127.0.0.1"] if hops else [f"127.0.1.{number}" for number in range(1, 12)]
    with gateway(settings, tmp_path / "log", **bounds) as found:
        async with AsyncExitStack() as held:
            for address in addresses:
                await held.enter_async_context(open_posts(found, 66 // len(addresses), sent, address))
            assert await statuses(found, OTHER, bearer(other)) == {202}


async def test_a_connection_too_many_reads_its_refusal(settings: Settings, key: str, tmp_path: Path) -> None:
    """A client that sends its request before it reads still receives the refusal.

    Unread bytes would reset the connection.
    """
    bounds = {"gateway_max_connections": 10, "gateway_address_connections_share": 0.8}
    # The posts wait for Kafka throughout.
    with gateway(settings, tmp_path / "log", gateway_linger="30s", gateway_publish_timeout="60s", **bounds) as found:
        refusals = []

        def deaf(address: str) -> bytes:
            with socket.create_connection(found.address, 30, (address, 0)) as sender:
                assert select.select([sender], [], [], 30)[0]
                sender.sendall(head(bearer(key), 65536) + b"x" * 65536)
                sender.shutdown(socket.SHUT_WR)
                parts = []
                while part := sender.recv(65536):
                    parts.append(part)
                return b"".join(parts)

        waiting = head(bearer(key), 2) + b"{}"
        async with open_posts(found, 8, waiting):
            refusals.append(await asyncio.to_thread(deaf, "127.0.0.1"))
            async with open_posts(found, 2, waiting, "127.0.0.2"):
                refusals.append(await asyncio.to_thread(deaf, "127.0.0.3"))
        assert [one.split(b" ", 2)[1] for one in refusals] == [b"429", b"503"]
        assert all(b"too many connections" in one for one in refusals)
