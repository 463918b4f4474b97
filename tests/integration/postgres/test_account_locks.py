"""Rows that one account keeps locked: changes of the registry and workers wait for them a bounded time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

import asyncpg
import pytest
from integration.worker.test_fencing import SOURCE, count_of, outcomes, owner
from support.infrastructure.accounts import account, execute
from support.infrastructure.databases import LOCK_AWAITED, as_admin
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from schemas.api_token import Role
from schemas.config.service import PROCESSES, Service
from schemas.errors import PreconditionFailed, SinkUnavailable
from schemas.pipeline.outcome import Outcomes
from schemas.pipeline.pause import PauseKind
from sinks.postgres import connection as postgres
from sinks.postgres import sink as postgres_sink
from sinks.postgres.breaker.state import release_breaker, trip_by_operator
from sinks.postgres.connection import connection
from sinks.postgres.registry.admin import add_script, set_enabled
from sinks.postgres.registry.pauses import end_pause
from sinks.postgres.replays.plans import cancel, prune
from sinks.postgres.runs.history import note_begin, note_end
from sinks.postgres.schema.check import blocking_differences, excess_privileges
from sinks.postgres.schema.migrate import migrate
from sinks.postgres.sink import PostgresSink
from sinks.postgres.statements import sql
from sinks.postgres.tokens.api_tokens import create_api_token, list_api_tokens, note_used, revoke_api_token


@pytest.fixture
def database_url(stack: StackAddresses, database_url: str) -> str:
    """The superuser's URL, which creates the accounts."""
    return as_admin(stack, database_url)


@asynccontextmanager
async def keeping(url: str, rows: str, strength: str = "UPDATE") -> AsyncIterator[asyncpg.Connection]:
    """A session that locks the rows in an open transaction."""
    conn = await asyncpg.connect(url, server_settings={"application_name": "kept"})
    try:
        await conn.execute("SET idle_in_transaction_session_timeout = 0")
        await conn.execute("BEGIN")
        await conn.fetch(f"SELECT FROM {rows} FOR {strength}")
        yield conn
    finally:
        conn.terminate()


@pytest.mark.parametrize("service", PROCESSES)
@pytest.mark.parametrize("strength", ["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"])
async def test_no_service_locks_a_token(database_url: str, service: Service, strength: str) -> None:
    """No service can lock a token, which would keep it from being revoked."""
    with account(database_url, service) as url, pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(url, f"SELECT FROM api_token FOR {strength}")


async def test_a_token_is_revoked_though_the_api_keeps_what_it_may_lock(database_url: str) -> None:
    """The last use of a token is in a table of its own, so that its locks don't concern the token."""
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
    """An API of the previous release may run beside this one, and its note of a token's use is shown."""
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
    """The change fails with the name of the session, and succeeds once that session has ended."""
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 3.0)
    monkeypatch.setattr(postgres, "WATCH_SECONDS", 1.0)
    await create_api_token(database_url, "ops", Role.ADMIN)
    await add_script(database_url, "shop", 3)
    async with keeping(database_url, table) as holder:
        waited = rf"waits for a row of {table}: session {holder.get_server_pid()} \(\w+, kept, idle in transaction"
        with pytest.raises(PreconditionFailed, match=waited):
            async with asyncio.timeout(60):
                await CHANGES[table](database_url)
    assert await CHANGES[table](database_url)


async def bound(url: str, *, waited: str = "10", age: str = "60 s") -> None:
    """Give the function an owner with every right, and set its bounds."""
    conn = await asyncpg.connect(url)
    try:
        text = await conn.fetchval("SELECT pg_get_functiondef('end_blocking_sessions'::regproc)")
        await conn.execute(text.replace("waited > 10", f"waited > {waited}").replace("'60 s'", f"'{age}'"))
        await conn.execute(
            f"ALTER FUNCTION end_blocking_sessions OWNER TO {await conn.fetchval('SELECT current_user')}"
        )
    finally:
        await conn.close()


async def committed(sink: PostgresSink, batch: Outcomes) -> None:
    """Commit the batch with retries, as a lane does."""
    while True:
        with suppress(SinkUnavailable):
            await sink.commit([batch])
            return


async def test_a_worker_goes_on_past_rows_that_another_account_keeps(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other session is ended after the bounded wait, whether it is idle or active."""
    monkeypatch.setattr(postgres_sink, "KEPT_SECONDS", 1.0)
    await bound(database_url, waited="1")
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


@pytest.mark.parametrize("strength", ["SHARE", "UPDATE"])
async def test_a_worker_goes_on_past_sessions_in_turns(
    database_url: str, monkeypatch: pytest.MonkeyPatch, strength: str
) -> None:
    """Sessions that take turns and are each younger than any bound are ended too, also when they queue for the lock.

    One try of the worker is shorter than one turn.
    """
    monkeypatch.setattr(postgres_sink, "KEPT_SECONDS", 3.0)
    await bound(database_url, waited="3")
    taken, over, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def in_turns(url: str, late: float) -> None:
        await asyncio.sleep(late)
        while not over.is_set():
            try:
                async with keeping(url, "stream_offset", strength) as holder:
                    taken.set()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(over.wait(), 2)
                    if holder.is_closed():
                        ended.set()
            except asyncpg.PostgresError:
                ended.set()

    with account(database_url, Service.WORKER) as mine, account(database_url, Service.WORKER) as other:
        async with owner(mine, lock_timeout=1) as sink:
            await sink.claim({SOURCE: 0})
            holders = [asyncio.create_task(in_turns(other, late)) for late in (0, 0.7, 1.4)]
            done = 0
            await taken.wait()
            try:
                async with asyncio.timeout(60):
                    # A commit may find the lock free between two turns.
                    while not ended.is_set():
                        await committed(sink, outcomes(done, 10))
                        done += 10
            finally:
                over.set()
                await asyncio.gather(*holders)
        assert await count_of(database_url, "bridge_event") == done


@pytest.mark.parametrize("case", ["not long", "my own", "not mine", "a superuser's"])
async def test_no_other_session_is_ended(database_url: str, case: str) -> None:
    """Four exceptions: a short wait, the same account, another account's wait, and a superuser's session."""
    await bound(database_url, age="1 h" if case in ("not long", "my own") else "0 s")
    with account(database_url, Service.WORKER) as mine, account(database_url, Service.WORKER) as other:
        async with owner(mine, lock_timeout=30) as sink:
            await sink.claim({SOURCE: 0})
        caller = await asyncpg.connect(other if case == "not mine" else mine)
        waiting = await asyncpg.connect(mine)
        keeper = {"a superuser's": database_url, "my own": mine}.get(case, other)
        try:
            async with keeping(keeper, "stream_offset") as holder:
                asked = asyncio.create_task(waiting.fetch("SELECT FROM stream_offset FOR UPDATE"))
                await wait_until(lambda: caller.fetchval(LOCK_AWAITED), budget_seconds=30, describe="a wait")
                waited = 9.0 if case == "not long" else 1e6
                assert await caller.fetch(sql("end_lock_holders"), waiting.get_server_pid(), waited) == []
                await holder.execute("COMMIT")
                await asked
        finally:
            await caller.close()
            await waiting.close()


@pytest.mark.parametrize("strength", ["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"])
@pytest.mark.parametrize("service", [one for one in PROCESSES if one is not Service.WORKER])
async def test_no_other_service_locks_the_stream_s_rows(database_url: str, service: Service, strength: str) -> None:
    """Lanes and retries wait for row locks, and shared locks could follow one another without end."""
    with account(database_url, service) as url:
        for table in ("bridge_event_raw", "bridge_event_key", "bridge_event", "stream_offset", "brake", "gate_judge"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await execute(url, f"SELECT FROM {table} FOR {strength}")


CLOSED = {
    "discard_dead_letters('{}', '{}', '{}', 'run_1')": Service.API,
    "discard_sent_again('{}', '{}', '{}', 'run_1')": Service.API,
    "lock_dead_letters(gen_random_uuid(), 0, 1)": Service.API,
    "claim_dead_letters(gen_random_uuid(), '{}', '{}', '{}', '{}')": Service.API,
    "let_go_dead_letters(gen_random_uuid(), '{}', '{}', '{}')": Service.API,
    "end_blocking_sessions(0, 0)": Service.WORKER,
    "sites_sending()": Service.WORKER,
}


@pytest.mark.parametrize("service", PROCESSES)
async def test_what_runs_by_the_owner_s_rights_is_for_one_service(database_url: str, service: Service) -> None:
    """Postgres lets every role execute a new function unless that is revoked."""
    with account(database_url, service) as url:
        if service is Service.API:
            await note_begin(url, "run_1", "dlq-discard", datetime.now(UTC))
        for call, mine in CLOSED.items():
            with nullcontext() if service is mine else pytest.raises(asyncpg.InsufficientPrivilegeError):
                await execute(url, f"SELECT {call}")


async def test_no_claim_changes_while_a_lane_keeps_them(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session with open claims is ended; new claims wait until the lane has committed."""
    monkeypatch.setattr(postgres_sink, "KEPT_SECONDS", 1.0)
    await bound(database_url, waited="1")
    calls = [call for call, mine in CLOSED.items() if mine is Service.API]
    with account(database_url, Service.WORKER) as mine, account(database_url, Service.API) as api:
        await note_begin(api, "run_1", "dlq-discard", datetime.now(UTC))
        async with owner(mine, lock_timeout=30) as sink:
            async with keeping(api, "let_go_dead_letters(gen_random_uuid(), '{}', '{}', '{}')", "SHARE"):
                async with asyncio.timeout(60):
                    assert await sink.keep_claims()
            for call in calls:
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await execute(api, f"SET lock_timeout = '10ms'; SELECT {call}")
            assert await sink.release_claims()
            for call in calls:
                await execute(api, f"SELECT {call}")


BEFORE_0024 = (
    "DROP FUNCTION keep_limits CASCADE",
    "ALTER TABLE bridge_event_raw DROP COLUMN former_replay_id, DROP COLUMN former_replayed_as, DROP COLUMN former_replay_digest",
    "ALTER TABLE bridge_event_raw DROP CONSTRAINT bridge_event_raw_places, DROP CONSTRAINT bridge_event_raw_words",
    "ALTER TABLE replay_item DROP CONSTRAINT replay_item_places",
    "ALTER TABLE gate_window DROP CONSTRAINT gate_window_counts",
    "ALTER TABLE replay DROP CONSTRAINT replay_counts",
    "DROP FUNCTION keep_young_plan CASCADE",
    "DROP TRIGGER replay_ended ON replay",
    "DROP TRIGGER replay_item_skipped ON replay_item",
    "DROP TRIGGER replay_item_succeeded ON replay_item",
)


async def test_an_account_of_the_release_before_starts_this_one(database_url: str) -> None:
    """Its rights on the ledger become rights on the functions, until grants are applied again."""
    functions = [call.partition("(")[0] for call, mine in CLOSED.items() if mine is Service.API]
    with account(database_url, Service.API) as url:
        role = urlsplit(url).username
        await execute(
            database_url,
            "DROP FUNCTION end_blocking_sessions, " + ", ".join(functions),
            "DELETE FROM schema_migration WHERE version IN (19, 20, 24, 29, 30, 34, 38)",
            "DROP TABLE backup",
            "ALTER TABLE bridge_event_raw DROP COLUMN sent_again",
            *BEFORE_0024,
            "DROP FUNCTION note_resumer CASCADE",
            "DROP TRIGGER bridge_event_raw_identity ON bridge_event_raw",
            f"GRANT UPDATE (disposition, discarded_by) ON bridge_event_raw TO {role}",
        )
        await migrate(database_url)

        assert await blocking_differences(url, Service.API) == []
        assert await excess_privileges(url, Service.API) == [
            f"role {role}: has UPDATE (discarded_by, disposition) on bridge_event_raw, which it does not need"
        ]


async def test_a_worker_of_the_release_before_starts_this_one(database_url: str) -> None:
    """Who may end blocking sessions may ask which sites send, without new grants."""
    with account(database_url, Service.WORKER) as url:
        await execute(database_url, "DROP FUNCTION sites_sending", "DELETE FROM schema_migration WHERE version = 36")
        await migrate(database_url)

        assert await blocking_differences(url, Service.WORKER) == []
        await execute(url, "SELECT sites_sending()")


async def test_a_plan_locks_no_row_that_waits(database_url: str) -> None:
    """The function that locks a plan's items skips rows that wait for a retry, although a plan may name any row."""
    plan = "11111111-1111-4111-8111-111111111111"
    await execute(
        database_url,
        """INSERT INTO bridge_event_raw (raw_topic, raw_partition, raw_offset, payload, error_class, last_error, received_at,
               first_failed_at, record_time, retry_count, next_retry_at, normalized, dropped_reason, disposition)
           SELECT 'bridge.raw', 0, n, '', 'x', 'x', now(), now(), now(), 1, CASE n WHEN 0 THEN now() END, n > 0,
               CASE n WHEN 1 THEN 'schema_violation' END, CASE n WHEN 1 THEN 'open' END
           FROM generate_series(0, 1) AS n""",
        f"""INSERT INTO replay (replay_id, requested_by, reason, filter, corrections, planned, state)
            VALUES ('{plan}', 'x', 'x', '{{}}', '[]', 0, 'planned')""",
        f"""INSERT INTO replay_item (replay_id, position, raw_topic, raw_partition, raw_offset, forecast)
            SELECT '{plan}', n + 1, 'bridge.raw', 0, n, 'passes' FROM generate_series(0, 1) AS n""",
    )
    with account(database_url, Service.API) as url:
        async with keeping(url, "lock_dead_letters('" + plan + "', 0, 2)") as holder:
            other = await asyncpg.connect(database_url)
            try:
                free = await other.fetch("SELECT raw_offset FROM bridge_event_raw FOR UPDATE SKIP LOCKED")
            finally:
                await other.close()
            assert [one["raw_offset"] for one in free] == [0]
            assert not holder.is_closed()


async def _cancelled(url: str) -> bool:
    async with connection(url, "replay") as conn:
        return await cancel(conn, "11111111-1111-4111-8111-111111111111", "x")


BRIEF: dict[str, list[Callable[[str], Awaitable[object]]]] = {
    "brake": [
        lambda url: trip_by_operator(url, "g", "x"),
        lambda url: release_breaker(url, "g", 60, "x"),
    ],
    "replay": [_cancelled, lambda url: prune(url, 0)],
    "pause": [lambda url: end_pause(url, PauseKind.PARTITION, "0", "over")],
    "script_run": [
        lambda url: note_end(url, "r", "x", (datetime.now(UTC), datetime.now(UTC)), 0, "{}"),
    ],
}
"""The commands that change rows of a locked table, by table."""


@pytest.mark.parametrize("table", BRIEF)
async def test_a_command_says_who_keeps_its_rows(
    database_url: str, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """Every command's wait for a row ends with an error that names the session."""
    monkeypatch.setattr(postgres, "LOCK_SECONDS", 3.0)
    monkeypatch.setattr(postgres, "WATCH_SECONDS", 1.0)
    await execute(
        database_url,
        "INSERT INTO brake (group_id, engaged, changed_by, reason) VALUES ('g', false, 'x', 'x')",
        """INSERT INTO replay (replay_id, requested_by, reason, filter, corrections, planned, state, updated_at)
           VALUES ('11111111-1111-4111-8111-111111111111', 'x', 'x', '{}', '[]', 0, 'planned', '2020-01-01')""",
        "INSERT INTO pause (kind, target, paused_by, reason) VALUES ('partition', '0', 'x', 'x')",
        "INSERT INTO script_run (run_id, script, started_by, started_at) VALUES ('r', 'x', 'x', now())",
    )
    async with keeping(database_url, table, "SHARE") as holder:
        for act in BRIEF[table]:
            waited = rf"waits for a row of {table}: session {holder.get_server_pid()} \(\w+, kept, idle in transaction"
            with pytest.raises(SinkUnavailable, match=waited):
                async with asyncio.timeout(60):
                    await act(database_url)


async def test_every_session_bounds_its_waits_for_locks(database_url: str) -> None:
    """A setting of the role or the database does not disable the bound."""
    await execute(database_url, f'ALTER DATABASE "{urlsplit(database_url).path[1:]}" SET lock_timeout = 0')
    async with connection(database_url, "any") as conn:
        assert await conn.fetchval("SHOW lock_timeout") == "15s"
