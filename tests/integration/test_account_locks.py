"""Rows that one account keeps locked: neither a change of the registry nor a worker waits for them for ever."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
import pytest
from integration.test_fencing import SOURCE, count_of, outcomes, owner
from support.accounts import account, execute
from support.databases import LOCK_AWAITED, as_admin
from support.wait import wait_until

from bridge.stack import StackAddresses
from schemas.api_token import Role
from schemas.errors import EnvironmentUnfit
from schemas.service import PROCESSES, Service
from sinks import registry_admin
from sinks.api_tokens import create_api_token, list_api_tokens, note_used, revoke_api_token
from sinks.postgres import sql
from sinks.registry_admin import add_script, set_enabled


@pytest.fixture
def database_url(stack: StackAddresses, database_url: str) -> str:
    """The URL for the superuser, who makes the accounts."""
    return as_admin(stack, database_url)


@asynccontextmanager
async def keeping(url: str, rows: str) -> AsyncIterator[asyncpg.Connection]:
    """A session that locks the rows in a transaction that it leaves open."""
    conn = await asyncpg.connect(url, server_settings={"application_name": "kept"})
    try:
        await conn.execute("SET idle_in_transaction_session_timeout = 0")
        await conn.execute("BEGIN")
        await conn.fetch(f"SELECT FROM {rows} FOR UPDATE")
        yield conn
    finally:
        conn.terminate()


@pytest.mark.parametrize("service", PROCESSES)
@pytest.mark.parametrize("strength", ["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"])
async def test_no_service_locks_a_token(database_url: str, service: Service, strength: str) -> None:
    """A lock would keep a token from being revoked."""
    with account(database_url, service) as url, pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(url, f"SELECT FROM api_token FOR {strength}")


async def test_a_token_is_revoked_though_the_api_keeps_what_it_may_lock(database_url: str) -> None:
    """When tokens were used last is noted beside them."""
    made = await create_api_token(database_url, "ops", Role.ADMIN)
    first, second = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 7, 2, tzinfo=UTC)
    with account(database_url, Service.API) as url:
        for used in (first, second, first):
            await note_used(url, {made.key_id: used, "unknown": used})
        assert [one.last_used_at for one in await list_api_tokens(url)] == [second]
        async with keeping(url, "api_token_use"):
            async with asyncio.timeout(60):
                assert await revoke_api_token(database_url, "ops")


async def test_a_use_that_the_release_before_noted_is_shown(database_url: str) -> None:
    """An API of that release runs beside this one."""
    at = datetime(2026, 7, 1, tzinfo=UTC)
    await create_api_token(database_url, "ops", Role.VIEWER)
    await execute(database_url, f"UPDATE api_token SET last_used_at = '{at.isoformat()}'")
    assert [one.last_used_at for one in await list_api_tokens(database_url)] == [at]


CHANGES: dict[str, Callable[[str], Awaitable[object]]] = {
    "api_token": lambda url: revoke_api_token(url, "ops"),
    "script": lambda url: set_enabled(url, "shop", enabled=False),
    "site": lambda url: add_script(url, "shop", 3, org_id=5, move=True),
}


@pytest.mark.parametrize("table", CHANGES)
async def test_a_change_says_who_keeps_its_rows(database_url: str, monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    """It ends, names the session, and can be made once that has ended."""
    monkeypatch.setattr(registry_admin, "LOCK_SECONDS", 2.5)
    await create_api_token(database_url, "ops", Role.ADMIN)
    await add_script(database_url, "shop", 3)
    async with keeping(database_url, table) as holder:
        waited = rf"waits for a row of {table}: session {holder.get_server_pid()} \(\w+, kept, idle in transaction"
        with pytest.raises(EnvironmentUnfit, match=waited):
            async with asyncio.timeout(60):
                await CHANGES[table](database_url)
    assert await CHANGES[table](database_url)


async def age(url: str, bound: str) -> None:
    """Has an account of every right own the function, and its transactions' age be as given."""
    conn = await asyncpg.connect(url)
    try:
        text = await conn.fetchval("SELECT pg_get_functiondef('end_lock_holders(int)'::regprocedure)")
        await conn.execute(text.replace("'60 s'", f"'{bound}'"))
        await conn.execute(
            f"ALTER FUNCTION end_lock_holders(int) OWNER TO {await conn.fetchval('SELECT current_user')}"
        )
    finally:
        await conn.close()


async def test_a_worker_goes_on_past_rows_that_another_account_keeps(database_url: str) -> None:
    """Its session is ended, whatever it does, once its transaction is too old."""
    await age(database_url, "1 s")
    with account(database_url, Service.WORKER) as mine, account(database_url, Service.WORKER) as other:
        async with owner(mine, lock_timeout=30) as sink:
            await sink.claim({SOURCE: 0})
            async with keeping(other, "stream_offset") as holder:
                busy = asyncio.create_task(holder.execute("SELECT pg_sleep(120)"))
                async with asyncio.timeout(60):
                    await sink.commit([outcomes(0, 10)])
                with pytest.raises(asyncpg.PostgresError):
                    await busy
        assert await count_of(database_url, "bridge_event") == 10


@pytest.mark.parametrize("case", ["young", "not mine", "a superuser's"])
async def test_no_other_session_is_ended(database_url: str, case: str) -> None:
    """Neither by age, nor for a wait of another account, nor if it is an administrator's."""
    await age(database_url, "1 h" if case == "young" else "0 s")
    with account(database_url, Service.WORKER) as mine, account(database_url, Service.WORKER) as other:
        async with owner(mine, lock_timeout=30) as sink:
            await sink.claim({SOURCE: 0})
        caller = await asyncpg.connect(other if case == "not mine" else mine)
        waiting = await asyncpg.connect(mine)
        try:
            async with keeping(database_url if case == "a superuser's" else other, "stream_offset") as holder:
                asked = asyncio.create_task(waiting.fetch("SELECT FROM stream_offset FOR UPDATE"))
                await wait_until(lambda: caller.fetchval(LOCK_AWAITED), budget_seconds=30, describe="a wait")
                assert await caller.fetch(sql("end_lock_holders"), waiting.get_server_pid()) == []
                await holder.execute("COMMIT")
                await asked
        finally:
            await caller.close()
            await waiting.close()
