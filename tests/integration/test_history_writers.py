"""History names the account that wrote it; the items of a plan and the right to judge are closed to other accounts."""

import asyncio
from datetime import UTC, datetime
from urllib.parse import urlsplit

import asyncpg
import pytest
from support.accounts import account, execute
from support.databases import as_admin

from bridge.stack import StackAddresses
from schemas.errors import AnotherRun
from schemas.gate import WindowLimits
from schemas.service import Service
from schemas.settings import Settings
from sinks.gate import judge
from sinks.migrate import migrate
from sinks.postgres import sql
from sinks.runs import note_begin, run_lock, show_run

PLAN = "00000000-0000-4000-8000-000000000001"
MADE = (
    "INSERT INTO replay (replay_id, requested_by, filter, planned, state, written_by)"
    f" VALUES ('{PLAN}', 'root@host', '{{}}', 0, 'planned', 'bridge_owner')"
)
FILLED = (
    "INSERT INTO replay_item (replay_id, position, raw_topic, raw_partition, raw_offset, forecast)"
    f" VALUES ('{PLAN}', 1, 't', 0, 0, 'passes'), ('{PLAN}', 2, 't', 0, 1, 'schema_violation')"
)
ITEMS = "SELECT count(*) FROM replay_item"


@pytest.fixture
def database_url(stack: StackAddresses, database_url: str) -> str:
    """The URL for the superuser, who makes the accounts."""
    return as_admin(stack, database_url)


@pytest.mark.parametrize("service", [Service.WORKER, Service.API])
async def test_a_run_says_which_account_wrote_it(database_url: str, service: Service) -> None:
    """The account can neither set nor change that, other than `started_by`."""
    with account(database_url, service) as url:
        role = urlsplit(url).username
        await note_begin(url, "run_1", "dlq-plan", datetime.now(UTC))
        await execute(
            url,
            "INSERT INTO script_run (run_id, script, started_by, started_at, written_by, written_at)"
            " VALUES ('run_2', 'dlq-plan', 'root@host', '2020-01-01', 'bridge_owner', '2020-01-01')",
        )
        for run_id in ("run_1", "run_2"):
            assert (await show_run(database_url, run_id)).written_by == role
        former = "UPDATE script_run SET written_by = 'x', written_at = '2020-01-01'"
        await execute(database_url, f"GRANT UPDATE ON script_run TO {role}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await execute(url, former)


async def test_a_plan_holds_its_items_once_it_is_made(database_url: str) -> None:
    """The transaction that makes a plan leaves out what would not pass; later ones can't remove an item."""
    with account(database_url, Service.API) as url:
        conn = await asyncpg.connect(url)
        try:
            async with conn.transaction():
                await conn.execute(MADE)
                await conn.execute(FILLED)
            assert await conn.fetchval("SELECT written_by FROM replay") == urlsplit(url).username
            await conn.execute(sql("replay_keep_passing"), PLAN)
            await conn.execute("UPDATE replay SET state = 'stopped'")
            assert await conn.fetchval(ITEMS) == 2
            async with conn.transaction():
                # The row's version is this transaction's then, the plan is not.
                await conn.execute("UPDATE replay SET updated_at = updated_at")
                await conn.execute(sql("replay_keep_passing"), PLAN)
            assert await conn.fetchval(ITEMS) == 2
            for forbidden in ("DELETE FROM replay_item", "LOCK TABLE replay_item IN SHARE MODE"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    async with conn.transaction():
                        await conn.execute(forbidden)
            await execute(database_url, "DELETE FROM replay")
            async with conn.transaction():
                await conn.execute(MADE)
                await conn.execute(FILLED)
                await conn.execute(sql("replay_keep_passing"), PLAN)
            assert await conn.fetchval(ITEMS) == 1
        finally:
            await conn.close()


async def test_no_advisory_lock_stops_verdicts(database_url: str) -> None:
    """The right to judge is a row, which only those lock who may change it; one judges at a time."""
    limits = Settings().gate_limits
    assert isinstance(limits, WindowLimits)
    failing = "INSERT INTO gate_window SELECT date_trunc('minute', now()), 1, 't', 0, false, 1000, 0, 0, 1000, 0, 1000, 0, 0, 0"
    await execute(database_url, failing)
    with account(database_url, Service.GATEWAY) as gateway, account(database_url, Service.WORKER) as worker:
        await execute(
            database_url, f"GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO {urlsplit(gateway).username}"
        )
        stranger, judging = await asyncpg.connect(gateway), await asyncpg.connect(worker)
        try:
            await stranger.execute("SELECT pg_advisory_lock(hashtextextended('bridge gate', 0))")
            async with judging.transaction():
                assert await judging.fetchval(sql("gate_judge_lock"))
                async with asyncio.timeout(30):
                    assert await judge(worker, 300, limits) == []
            assert await judge(worker, 300, limits) != []
        finally:
            await asyncio.gather(stranger.close(), judging.close())


async def test_who_holds_a_runs_lock_is_named(database_url: str) -> None:
    """Also where it is no run, but an account that took the lock by itself."""
    with account(database_url, Service.API) as url:
        stranger = await asyncpg.connect(url)
        try:
            await stranger.execute("SELECT pg_try_advisory_lock(hashtextextended('script:x:all', 0))")
            held = rf"\(session {stranger.get_server_pid()}, role {urlsplit(url).username}, "
            with pytest.raises(AnotherRun, match=held):
                async with run_lock(database_url, "script:x:all", "script:x:all"):
                    pass
        finally:
            await stranger.close()


async def test_an_account_that_made_plans_goes_on_after_the_migration(database_url: str) -> None:
    """The release before removes items by its own grant, which stays until grants are given again."""
    await execute(
        database_url,
        "DROP TABLE gate_judge",
        "DROP FUNCTION keep_passing",
        "DROP FUNCTION note_writer CASCADE",
        "DROP TRIGGER script_run_writer_kept ON script_run",
        "DROP TRIGGER replay_writer_kept ON replay",
        *(f"ALTER TABLE {one} DROP COLUMN written_by, DROP COLUMN written_at" for one in ("script_run", "replay")),
        "DELETE FROM schema_migration WHERE version = 17",
    )
    await migrate(database_url)
    with account(database_url, Service.API) as url:
        await execute(database_url, f"GRANT DELETE ON replay_item TO {urlsplit(url).username}")
        former = f"DELETE FROM replay_item WHERE replay_id = '{PLAN}' AND forecast <> 'passes'"
        await execute(url, MADE, FILLED, former)
