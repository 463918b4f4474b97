"""Unread exports hold no snapshot and end with the token that requested them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import httpx
import pytest
from support.events.dead_letters import add_dropped, dropped
from support.processes.api import Api, client, token
from support.processes.gateway import bearer
from support.wait import wait_until

from schemas.api_token import Role
from schemas.config.settings import Settings
from sinks.postgres.tokens.api_tokens import revoke_api_token

UNREAD, DEAR = 8, 50
ROWS, PAYLOAD = 400, b"x" * 65536
SESSIONS = """
SELECT state, backend_xmin FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE '%dead letters%'
"""


@asynccontextmanager
async def export(found: Api, text: str) -> AsyncIterator[socket.socket]:
    """An export whose client has read the first bytes and reads no more."""
    loop = asyncio.get_running_loop()
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.setblocking(False)
        await loop.sock_connect(one, found.address)
        lines = [f"{name}: {value}" for name, value in bearer(text).items()]
        request = "\r\n".join(["GET /v1/dead-letters/export HTTP/1.1", "host: x", *lines, "", ""])
        await loop.sock_sendall(one, request.encode())
        assert (await loop.sock_recv(one, 15)).startswith(b"HTTP/1.1 200")
        yield one


@pytest.fixture
async def large(two_orgs: Settings) -> Settings:
    """More data than the buffers of a connection hold."""
    await add_dropped(two_orgs.dsn, [dropped(1000 + number, payload=PAYLOAD) for number in range(ROWS)])
    return two_orgs


async def known(found: Api, settings: Settings, name: str) -> str:
    """A token that the service has already seen."""
    text = await token(settings, name, Role.VIEWER, 10)
    async with client(found, text):
        return text


async def test_unread_exports_hold_no_snapshot(large: Settings, running: Api) -> None:
    """Eight unread exports of one token wait outside of any transaction, so that they don't hold up vacuum."""
    text = await known(running, large, "slow")
    connection = await asyncpg.connect(large.dsn)
    try:
        async with AsyncExitStack() as stack:
            for _ in range(UNREAD):
                await stack.enter_async_context(export(running, text))

            async def stalled() -> bool:
                return [tuple(row) for row in await connection.fetch(SESSIONS)] == [("idle", None)] * UNREAD

            await wait_until(
                stalled, budget_seconds=30, describe="all to wait for their readers, none in a transaction"
            )
    finally:
        await connection.close()


async def test_export_of_a_revoked_token_ends(large: Settings, running: Api) -> None:
    """The export stops early and without its last chunk, so that the client sees that it is incomplete."""
    text = await known(running, large, "gone")
    loop = asyncio.get_running_loop()
    async with export(running, text) as one:
        await revoke_api_token(large.dsn, "gone")

        async def refused() -> bool:
            async with httpx.AsyncClient(base_url=running.url) as other:
                return (await other.get("/v1/me", headers=bearer(text))).status_code == 401

        await wait_until(refused, budget_seconds=30, describe="the service to know that it is revoked")
        read = 0
        last = b""
        async with asyncio.timeout(60):
            while part := await loop.sock_recv(one, 1 << 20):
                read += len(part)
                last = (last + part)[-5:]
    assert read < ROWS * len(PAYLOAD)
    assert last != b"0\r\n\r\n"
    assert '"error": "token_revoked"' in running.log.read_text()


async def test_hung_up_exports_end_and_hold_nobody_up(two_orgs: Settings, running: Api) -> None:
    """Exports whose clients disconnect end, and the service answers other requests meanwhile.

    The payloads are the most expensive ones to write.
    """
    text = await known(running, two_orgs, "hangs-up")
    hostile = "\u202ea".encode() * 245_000
    await add_dropped(two_orgs.dsn, [dropped(1000 + number, payload=hostile) for number in range(DEAR)])
    connection = await asyncpg.connect(two_orgs.dsn)
    try:
        for _ in range(UNREAD):
            async with export(running, text):
                pass
        async with httpx.AsyncClient(base_url=running.url, timeout=10) as other:
            assert (await other.get("/health")).status_code == 200

        async def ended() -> bool:
            noted = running.log.read_text().count('"path": "/v1/dead-letters/export"')
            return noted == UNREAD and not await connection.fetch(SESSIONS)

        await wait_until(ended, budget_seconds=30, describe="the exports to end")
    finally:
        await connection.close()
