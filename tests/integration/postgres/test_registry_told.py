"""Changes of the registry succeed without their notification, and floods of notifications stop no service."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from structlog.testing import capture_logs
from support.infrastructure.accounts import account, execute
from support.infrastructure.databases import as_admin, run_apart
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from schemas.api_token import Role
from schemas.config.service import Service
from schemas.pipeline.pause import PauseKind
from sinks.postgres.connection import Connection, connection, receive_little
from sinks.postgres.registry.admin import add_script, set_enabled
from sinks.postgres.registry.cache import CHANNEL, MOST_TOLD, RegistryCache
from sinks.postgres.registry.pauses import end_pause, list_pauses, start_pause
from sinks.postgres.tokens.api_tokens import create_api_token, revoke_api_token
from sinks.postgres.tokens.script_tokens import create_token, list_tokens, revoke_token


@pytest.fixture
def admin_url(stack: StackAddresses, database_url: str) -> str:
    """The superuser's URL, which creates the accounts."""
    return as_admin(stack, database_url)


async def change_all(url: str) -> int:
    """Change scripts, tokens and pauses; return the number of changes."""
    await add_script(url, "shop", 3, org_id=7)
    await set_enabled(url, "shop", enabled=False)
    made = await create_token(url, "shop")
    assert await revoke_token(url, "shop", made.key_id)
    await create_api_token(url, "ops", Role.VIEWER)
    assert await revoke_api_token(url, "ops")
    assert await start_pause(url, PauseKind.SITE, "3", "flood")
    assert await end_pause(url, PauseKind.SITE, "3", "over")
    return 8


async def test_a_change_is_made_though_nobody_can_be_told(admin_url: str) -> None:
    """The queue of notifications can be full, which any account can cause; a revoked token is still refused."""
    with account(admin_url, Service.OWNER) as url:
        await execute(admin_url, "REVOKE EXECUTE ON FUNCTION pg_notify FROM PUBLIC")
        with capture_logs() as logs:
            changes = await change_all(url)
        assert [one["event"] for one in logs] == ["registry_change_notify_failed"] * changes
        (key,) = await list_tokens(url, "shop")
        assert key.revoked_at is not None
        assert await list_pauses(url) == []


async def test_each_change_is_told_once_it_is_committed(database_url: str) -> None:
    """Listeners receive one notification per change."""
    heard: list[object] = []
    listener = await asyncpg.connect(database_url)
    try:
        await listener.add_listener(CHANNEL, lambda *told: heard.append(told))
        changes = await change_all(database_url)
        # Earlier notifications have arrived with this answer.
        await listener.fetchval("SELECT 1")
        assert len(heard) == changes
    finally:
        await listener.close()


class CountedCache(RegistryCache):
    """Counts how often the registry is read."""

    reads = 0

    async def _read(self, conn: Connection) -> None:
        await super()._read(conn)
        self.reads += 1


@asynccontextmanager
async def followed(url: str, *, refresh_seconds: float) -> AsyncIterator[CountedCache]:
    """A copy that follows the registry and has read it once."""
    cache = CountedCache(url, refresh_seconds=refresh_seconds)
    following = asyncio.create_task(cache.follow())
    try:
        await wait_until(lambda: cache.reads > 0, budget_seconds=20, describe="the registry was read")
        yield cache
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


FLOOD = "SELECT pg_notify($1, i::text) FROM generate_series(1, $2::int) i"
LONG_ONES = "SELECT pg_notify($1, lpad(i::text, 4000, '.')) FROM generate_series(1, 5000) i"


async def test_many_notifications_cause_few_reads_of_the_registry(database_url: str) -> None:
    """Any account can send them, and each read takes time of the loop that serves events."""
    conn = await asyncpg.connect(database_url)
    try:
        async with followed(database_url, refresh_seconds=3600) as cache:
            began, before = time.monotonic(), cache.reads
            for _ in range(MOST_TOLD // 2):
                await conn.execute(FLOOD, CHANNEL, 1)
                # The follower runs between two of them.
                await asyncio.sleep(0.02)
            assert cache.reads - before <= 10 * (time.monotonic() - began) + 1
            await add_script(database_url, "late", 3)
            await wait_until(lambda: "late" in cache.current, budget_seconds=20, describe="the change is found")
    finally:
        await conn.close()


async def test_a_turn_of_the_loop_takes_few_notifications(database_url: str) -> None:
    """One turn of the loop reads at most 64 KiB, even if Postgres has more to send after a blocked turn."""

    async def flood(pid: int) -> None:
        """Return when Postgres can send the listener no more."""
        conn = await asyncpg.connect(database_url)
        try:
            await conn.execute(LONG_ONES, CHANNEL)
            stuck = "SELECT wait_event = 'ClientWrite' FROM pg_stat_activity WHERE pid = $1"
            await wait_until(lambda: conn.fetchval(stuck, pid), budget_seconds=20, describe="the socket is full")
        finally:
            await conn.close()

    heard: list[str] = []

    def hear(listener: asyncpg.Connection, _pid: int, _channel: str, text: str) -> None:
        heard.append(text)
        listener.terminate()

    async with connection(database_url, "test") as listener:
        receive_little(listener)
        await listener.add_listener(CHANNEL, hear)
        # The test's loop is blocked meanwhile.
        run_apart(flood(listener.get_server_pid()))
        await wait_until(lambda: heard, budget_seconds=20, describe="the first turn")
    assert sum(map(len, heard)) <= 64 * 1024


async def test_a_flood_of_notifications_is_not_listened_to(database_url: str) -> None:
    """The connection is closed after MOST_TOLD of them; the timer finds the changes, and notifications resume later."""
    conn = await asyncpg.connect(database_url)
    try:
        with capture_logs() as logs:
            async with followed(database_url, refresh_seconds=1) as cache:
                await conn.execute(FLOOD, CHANNEL, 100_000)
                await wait_until(lambda: logs, budget_seconds=20, describe="the flood is noticed")
                before = cache.reads
                await add_script(database_url, "late", 3)
                await wait_until(lambda: "late" in cache.current, budget_seconds=20, describe="the change is found")
                await wait_until(lambda: cache.reads > before + 2, budget_seconds=20, describe="it follows again")
        assert [one["event"] for one in logs].count("registry_notifications_flood") == 1
        assert logs[0]["told"] == MOST_TOLD + 1
    finally:
        await conn.close()
