"""Migrations, new months and grants wait for a table in use without blocking other sessions behind them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest
from support.infrastructure.accounts import account, execute
from support.infrastructure.databases import as_admin
from support.processes.command import bridge
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from schemas.config.service import Service
from schemas.errors import PreconditionFailed
from sinks.postgres import connection as postgres
from sinks.postgres import table_locks
from sinks.postgres.connection import connection
from sinks.postgres.schema.grants import grants
from sinks.postgres.schema.migrate import migrate
from sinks.postgres.schema.monthly_partitions import make_partitions

UNDONE = ("DELETE FROM schema_migration WHERE version = 15", "ALTER TABLE bridge_event DROP COLUMN original CASCADE")


@asynccontextmanager
async def an_analyst(database_url: str, table: str = "bridge_event") -> AsyncIterator[asyncpg.Connection]:
    """A session that has read the table in an open transaction."""
    conn = await asyncpg.connect(database_url, server_settings={"application_name": "notebook"})
    try:
        await conn.execute("BEGIN")
        await conn.fetch(f"SELECT * FROM {table} LIMIT 1")
        yield conn
    finally:
        await conn.close()


async def new_month(url: str, **options: object) -> None:
    async with connection(url, "test") as conn:
        await make_partitions(url, conn, 30, **options)


async def test_a_long_query_delays_a_new_month_and_nobody_else(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writers proceed between two tries; the blocking session is named, and the month is created after its end."""
    monkeypatch.setattr(table_locks, "TRY_SECONDS", 1.5)
    told: list[str] = []
    async with an_analyst(database_url) as analyst:
        pid = analyst.get_server_pid()
        making = asyncio.create_task(new_month(database_url, tell=told.append))
        await wait_until(lambda: len(told) >= 2, budget_seconds=60, describe="two tries")
        writer = await asyncpg.connect(database_url)
        # It waits behind a pending try and proceeds when that try ends, well before the analyst's session.
        await writer.execute("SELECT count(*) FROM bridge_event", timeout=30)
        await writer.close()
        assert not making.done()
        assert "waits for bridge_event: session" in told[0]
        assert f"session {pid} (" in told[0]
        assert "notebook, idle in transaction, in a transaction for" in told[0]
    await making


@pytest.mark.parametrize("work", [new_month, migrate], ids=["month", "migration"])
async def test_the_wait_for_a_table_ends(
    database_url: str, monkeypatch: pytest.MonkeyPatch, work: Callable[..., Awaitable[object]]
) -> None:
    """The error names table and session; no change is partial, and the next run completes them."""
    monkeypatch.setattr(table_locks, "TRY_SECONDS", 1.5)
    # Every connection has a bound of its own, which is longer.
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 600.0)
    await execute(database_url, *UNDONE)
    async with an_analyst(database_url) as analyst:
        with pytest.raises(PreconditionFailed, match=rf"waits for bridge_event: session {analyst.get_server_pid()} \("):
            async with asyncio.timeout(60):
                await work(database_url, lock_seconds=0.1)
    await work(database_url)


async def test_the_command_says_whom_it_waits_for_and_ends_with_3(database_url: str) -> None:
    """If the session ends within two minutes the command continues; its line is on standard error."""
    await execute(database_url, *UNDONE)
    async with an_analyst(database_url) as analyst:
        running = asyncio.create_task(
            asyncio.to_thread(bridge, "db", "migrate", settings={"BRIDGE_DATABASE_URL": database_url})
        )
        await wait_until(
            lambda: analyst.fetchval("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'relation'"),
            budget_seconds=60,
            describe="a migration that waits",
        )
        await wait_until(
            lambda: analyst.fetchval("SELECT count(*) = 0 FROM pg_locks WHERE NOT granted AND locktype = 'relation'"),
            budget_seconds=60,
            describe="the end of its try",
        )
    done = await running
    assert done.returncode == 0, done.stderr
    assert b"migration 0015_original.sql waits for bridge_event: session" in done.stderr
    assert b"applied: 0015_original.sql" in done.stdout


async def test_a_new_owner_waits_for_a_table_like_a_migration(
    stack: StackAddresses, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`bridge db grants --service owner --apply` locks each table whose owner it changes."""
    monkeypatch.setattr(table_locks, "TRY_SECONDS", 1.5)
    admin = as_admin(stack, database_url)
    with account(admin, None) as url:
        role = url.split("//")[1].split(":")[0]
        async with an_analyst(database_url, "script"):
            with pytest.raises(PreconditionFailed, match="waits for script: session"):
                await grants(admin, role, Service.OWNER, apply=True, lock_seconds=0.1)
