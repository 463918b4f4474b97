"""History names the account that wrote it; a plan's items and the right to judge are closed to other accounts."""

import asyncio
from datetime import UTC, datetime
from urllib.parse import urlsplit

import asyncpg
import pytest
from support.infrastructure.accounts import account, execute
from support.infrastructure.databases import as_admin

from bridge.dev.stack import StackAddresses
from schemas.config.service import Service
from schemas.config.settings import Settings
from schemas.documents.gate import WindowLimits
from schemas.errors import BridgeError, RunLocked
from sinks.postgres.gate.verdicts import judge
from sinks.postgres.runs.history import note_begin, note_end, run_lock, show_run
from sinks.postgres.schema.migrate import migrate
from sinks.postgres.statements import sql
from streams.rules.gate import window_rule

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


async def value(url: str, query: str) -> object:
    """The single value of the query."""
    conn = await asyncpg.connect(url)
    try:
        return await conn.fetchval(query)
    finally:
        await conn.close()


@pytest.fixture
def database_url(stack: StackAddresses, database_url: str) -> str:
    """The superuser's URL, which creates the accounts."""
    return as_admin(stack, database_url)


@pytest.mark.parametrize("service", [Service.WORKER, Service.API])
async def test_a_run_whose_id_is_taken_does_nothing_and_says_so(database_url: str, service: Service) -> None:
    """Two runs of one second can have one id, and an account can take the ids of later seconds."""
    now = datetime.now(UTC)
    with account(database_url, service) as url:
        await note_begin(url, "run_1", "dlq-plan", now)
        with pytest.raises(
            RunLocked, match=r"nothing was done: the history already has a run with the id run_1 .*; run it again"
        ):
            await note_begin(url, "run_1", "dlq-discard", now)
        assert (await show_run(url, "run_1")).script == "dlq-plan"


@pytest.mark.parametrize("service", [Service.WORKER, Service.API])
async def test_a_run_says_which_account_wrote_it(database_url: str, service: Service) -> None:
    """Postgres sets `written_by`; the account can only choose `started_by`."""
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
    """Only the transaction that creates a plan removes items that would not pass."""
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
                # The row's version belongs to this transaction then, the plan does not.
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


async def refused(url: str, statement: str) -> None:
    """Check that the account lacks the right for this statement."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(url, statement)


async def test_only_the_transaction_that_makes_a_plan_gives_it_items(database_url: str) -> None:
    """Positions are bounded, and an item can't be exchanged under any grants."""
    with account(database_url, Service.API) as url, account(database_url, None) as former:
        await execute(database_url, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {urlsplit(former).username}")
        await execute(database_url, MADE, FILLED)
        more = FILLED.replace(", 1,", ", 3,").replace(", 2,", ", 4,").replace("'t'", "'u'")
        for one in (more, f"BEGIN; UPDATE replay SET updated_at = now(); {more}; COMMIT"):
            await refused(url, one)
        await refused(former, "UPDATE replay_item SET position = position + 10")
        await refused(former, "UPDATE replay_item SET raw_topic = 'other'")
        await execute(database_url, "DELETE FROM replay")
        for position in (0, -1, 1_000_000_001):
            await refused(url, f"BEGIN; {MADE}; {FILLED.replace(', 2,', f', {position},')}; COMMIT")
        await execute(url, f"BEGIN; {MADE}; {FILLED.replace(', 2,', ', 1000000000,')}; COMMIT")
        assert await value(database_url, ITEMS) == 2


async def test_a_plan_keeps_its_report_and_names_who_ended_it(database_url: str) -> None:
    """The report, the number of items and the age can't be changed, and Postgres records the ending account."""
    whole = """UPDATE replay SET planned = 2, report = '{"items": 2}', updated_at = now()"""
    ender = "SELECT ended_written_by FROM replay"
    with account(database_url, Service.API) as url, account(database_url, None) as former:
        await execute(database_url, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {urlsplit(former).username}")
        await execute(url, f"BEGIN; {MADE}; {FILLED}; {whole}; COMMIT")
        assert await value(database_url, ender) is None
        for forged in (
            "planned = 0",
            """report = '{"forged": true}'""",
            "updated_at = '2020-01-01'",
            "updated_at = 'infinity'",
        ):
            await refused(url, f"UPDATE replay SET {forged}")
        await execute(database_url, "UPDATE replay SET state = 'running', updated_at = now() - interval '1 hour'")
        assert await value(database_url, ender) == urlsplit(database_url).username
        await execute(url, sql("replay_sent").replace("$1", f"'{PLAN}'").replace("$2", "1").replace("$3", "1"))
        await execute(former, "UPDATE replay SET ended_written_by = 'x'")
        assert await value(database_url, ender) == urlsplit(database_url).username
        await execute(url, "UPDATE replay SET state = 'sent', ended_by = 'root@host'")
        assert await value(database_url, ender) == urlsplit(url).username


@pytest.mark.parametrize("service", [Service.WORKER, Service.API])
async def test_a_run_is_ended_by_the_account_that_began_it(database_url: str, service: Service) -> None:
    """The owner can end every run; a run of a release without `written_by` can be ended by any account."""
    now = datetime.now(UTC)
    with account(database_url, service) as url:
        await note_begin(database_url, "run_1", "dlq-discard", now)
        for forged in ("exit_code = 0", "ended_at = now()", "summary = '{}'"):
            await refused(url, f"UPDATE script_run SET {forged}")
        with pytest.raises(BridgeError, match="history is the owner's to change"):
            await note_end(url, "run_1", "dlq-discard", (now, now), 0, "{}")
        assert (await show_run(database_url, "run_1")).exit_code is None
        await note_end(database_url, "run_1", "dlq-discard", (now, now), 1, "{}")
        for run_id, ends in (("run_2", url), ("run_3", database_url)):
            await note_begin(url, run_id, "dlq-plan", now)
            await note_end(ends, run_id, "dlq-plan", (now, now), 2, "{}")
        await note_begin(url, "run_4", "dlq-plan", now)
        await execute(database_url, "UPDATE script_run SET written_by = NULL WHERE run_id = 'run_4'")
        await note_end(url, "run_4", "dlq-plan", (now, now), 2, "{}")
        assert [(await show_run(url, f"run_{n}")).exit_code for n in (1, 2, 3, 4)] == [1, 2, 2, 2]


async def test_an_item_became_what_the_ledger_says(database_url: str) -> None:
    """`replayed_as` must be that of the dead letter, and Postgres records the account that skipped an item."""
    await execute(
        database_url,
        MADE,
        FILLED,
        f"""INSERT INTO bridge_event_raw (raw_topic, raw_partition, raw_offset, payload, error_class, last_error, received_at,
                first_failed_at, record_time, retry_count, normalized, dropped_reason, disposition, replay_id, replayed_as)
            VALUES ('t', 0, 0, '', 'x', 'x', now(), now(), now(), 0, true, 'schema_violation', 'replayed', '{PLAN}', 't:0:7')""",
    )
    with account(database_url, Service.API) as url:
        # An account of the previous release has this grant and sets `replayed_as` by its own statement.
        await execute(database_url, f"GRANT UPDATE (replayed_as) ON replay_item TO {urlsplit(url).username}")
        await refused(url, "UPDATE replay_item SET replayed_as = 't:0:8' WHERE position = 1")
        await refused(url, "UPDATE replay_item SET replayed_as = 't:0:7' WHERE position = 2")
        keep = (
            "UPDATE replay_item AS i SET replayed_as = l.replayed_as FROM bridge_event_raw AS l"
            " WHERE i.raw_offset = l.raw_offset AND i.replay_id = l.replay_id"
        )
        await execute(url, keep, "UPDATE replay_item SET skipped = 'forged'")
        assert await value(database_url, "SELECT replayed_as FROM replay_item WHERE position = 1") == "t:0:7"
        assert await value(database_url, "SELECT min(skipped_by) FROM replay_item") == urlsplit(url).username


async def test_no_advisory_lock_stops_verdicts(database_url: str) -> None:
    """The right to judge is a row lock that only workers can take; one worker judges at a time."""
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
                    assert await judge(worker, 300, window_rule(limits)) == []
            assert await judge(worker, 300, window_rule(limits)) != []
        finally:
            await asyncio.gather(stranger.close(), judging.close())


async def test_who_holds_a_runs_lock_is_named(database_url: str) -> None:
    """The error has session and role, also of a lock that is no run's."""
    with account(database_url, Service.API) as url:
        stranger = await asyncpg.connect(url)
        try:
            await stranger.execute("SELECT pg_try_advisory_lock(hashtextextended('script:x:all', 0))")
            held = rf"\(session {stranger.get_server_pid()}, role {urlsplit(url).username}, "
            with pytest.raises(RunLocked, match=held):
                async with run_lock(database_url, "script:x:all", "script:x:all"):
                    pass
        finally:
            await stranger.close()


async def test_an_account_that_made_plans_goes_on_after_the_migration(database_url: str) -> None:
    """Such an account removes items by its own grant, which stays until grants are applied again."""
    await execute(
        database_url,
        "DROP TABLE gate_judge",
        "DROP FUNCTION keep_passing",
        "DROP FUNCTION note_writer CASCADE",
        "DROP TRIGGER script_run_writer_kept ON script_run",
        "DROP TRIGGER replay_writer_kept ON replay",
        *(
            f"ALTER TABLE {one} DROP COLUMN written_by CASCADE, DROP COLUMN written_at CASCADE"
            for one in ("script_run", "replay")
        ),
        "DELETE FROM schema_migration WHERE version = 17",
    )
    await migrate(database_url)
    with account(database_url, Service.API) as url:
        await execute(database_url, f"GRANT DELETE ON replay_item TO {urlsplit(url).username}")
        former = f"DELETE FROM replay_item WHERE replay_id = '{PLAN}' AND forecast <> 'passes'"
        await execute(url, f"BEGIN; {MADE}; {FILLED}; {former}; COMMIT")
