"""Claims of a service's account are checked against what Postgres knows: runs, claims, and ends of plans."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import asyncpg
import pytest
from support.infrastructure.accounts import account, execute
from support.infrastructure.databases import LOCK_AWAITED, as_admin
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from bridge.jobs.cancel import lock_of
from schemas.config.service import Service
from schemas.errors import SinkUnavailable
from schemas.pipeline.record import Provenance
from sinks.postgres.dead_letters.discard import discard
from sinks.postgres.replay_items.items import let_go
from sinks.postgres.replays.plans import prune
from sinks.postgres.runs.history import note_begin, note_end, run_lock

FIRST, SECOND = ("00000000-0000-4000-8000-00000000000" + number for number in "12")
NOW = datetime.now(UTC)
DAY = 86_400.0


def plan(replay_id: str, state: str = "running", age: str = "0 s") -> str:
    """A plan of the dead letters 0 and 1, by the owner."""
    return (
        "INSERT INTO replay (replay_id, requested_by, filter, planned, state, updated_at)"
        f" VALUES ('{replay_id}', 'x', '{{}}', 2, '{state}', now() - interval '{age}');"
        " INSERT INTO replay_item (replay_id, position, raw_topic, raw_partition, raw_offset, forecast)"
        f" SELECT '{replay_id}', n + 1, 't', 0, n, 'passes' FROM generate_series(0, 1) AS n"
    )


LETTERS = """INSERT INTO bridge_event_raw (raw_topic, raw_partition, raw_offset, payload, error_class, last_error, received_at,
        first_failed_at, record_time, retry_count, normalized, dropped_reason, disposition)
    SELECT 't', 0, n, '', 'x', 'x', now(), now(), now(), 0, true, 'schema_violation', 'open' FROM generate_series(0, 3) AS n"""
STANDS = (
    "SELECT raw_offset, disposition, replay_id::text, replayed_as, convert_from(replay_digest, 'UTF8')"
    " FROM bridge_event_raw ORDER BY raw_offset"
)


def claimed(replay_id: str, *offsets: int) -> str:
    """The claim of these dead letters."""
    each = [", ".join(f"{kind}" for _ in offsets) for kind in ("'t'", "0", f"'{replay_id[-1]}'::bytea")]
    places = ", ".join(str(one) for one in offsets)
    return f"SELECT claim_dead_letters('{replay_id}', ARRAY[{each[0]}], ARRAY[{each[1]}], ARRAY[{places}]::bigint[], ARRAY[{each[2]}])"


def resumed(replay_id: str) -> str:
    """The start of a run of this plan."""
    return f"UPDATE replay SET state = 'running' WHERE replay_id = '{replay_id}'"


def cancelled(replay_id: str) -> str:
    """The cancellation of this plan."""
    return f"UPDATE replay SET state = 'cancelled' WHERE replay_id = '{replay_id}'"


async def rows(url: str, query: str) -> list[tuple[object, ...]]:
    """The rows of the query."""
    conn = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await conn.fetch(query)]
    finally:
        await conn.close()


async def value(url: str, query: str) -> object:
    """The single value of the query."""
    return (await rows(url, query))[0][0]


async def let(url: str, replay_id: str, *offsets: int) -> int:
    """Release the claims of these dead letters."""
    async with connected(url) as conn:
        return await let_go(conn, replay_id, [Provenance("t", 0, one) for one in offsets])


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection."""
    conn = await asyncpg.connect(url)
    try:
        yield conn
    finally:
        await conn.close()


@pytest.fixture
def database_url(stack: StackAddresses, database_url: str) -> str:
    """The superuser's URL, which creates the accounts."""
    return as_admin(stack, database_url)


@pytest.mark.parametrize("sent_again", [False, True])
async def test_a_dead_letter_is_discarded_by_a_run_in_hand_of_its_account(database_url: str, sent_again: bool) -> None:
    """Another account's run, an ended one and a missing one are refused; the owner's run is always accepted."""
    await execute(database_url, LETTERS)
    await note_begin(database_url, "of_the_owner", "dlq-discard", NOW)
    with account(database_url, Service.API) as url:
        for run_id in ("mine", "ended"):
            await note_begin(url, run_id, "dlq-discard", NOW)
        await note_end(url, "ended", "dlq-discard", (NOW, NOW), 0, "{}")
        for forged in ("of_the_owner", "ended", "none", ""):
            with pytest.raises(SinkUnavailable, match=f"has not begun the run '{forged}', or it has ended"):
                await discard(url, [Provenance("t", 0, 0)], forged, sent_again=sent_again)
        assert {row[1] for row in await rows(database_url, STANDS)} == {"open"}
        assert await discard(url, [Provenance("t", 0, 0)], "mine", sent_again=sent_again) == 1
    assert await discard(database_url, [Provenance("t", 0, 1)], "of_the_owner", sent_again=sent_again) == 1


async def test_a_row_that_comes_with_a_change_names_who_wrote_it(database_url: str) -> None:
    """A forged account in an insert is replaced, as in an update; an item can't be inserted with its outcome."""
    ended = (
        "INSERT INTO replay (replay_id, requested_by, filter, planned, state, ended_by, ended_written_by)"
        f" VALUES ('{FIRST}', 'root@host', '{{}}', 0, 'cancelled', 'root@host', 'bridge_owner')"
    )
    passed_over = (
        "INSERT INTO replay_item (replay_id, position, raw_topic, raw_partition, raw_offset, forecast, skipped, skipped_by)"
        f" VALUES ('{FIRST}', 1, 't', 0, 0, 'passes', 'forged', 'bridge_owner')"
    )
    became = passed_over.replace("skipped, skipped_by", "replayed_as").replace("'forged', 'bridge_owner'", "'t:0:7'")
    with account(database_url, Service.API) as url:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="the ledger says otherwise"):
            await execute(url, f"BEGIN; {ended}; {became}; COMMIT")
        await execute(url, f"BEGIN; {ended}; {passed_over}; COMMIT")
        wrote = await rows(
            database_url, "SELECT ended_written_by, skipped_by FROM replay JOIN replay_item USING (replay_id)"
        )
        assert wrote == [(urlsplit(url).username,) * 2]


async def test_only_items_of_a_plan_in_hand_are_claimed(database_url: str) -> None:
    """All of the named items are claimed or none; a missing plan, or one that no run has started, is refused."""
    await execute(database_url, LETTERS, plan(FIRST), plan(SECOND, "planned"))
    with account(database_url, Service.API) as url:
        for forged in (claimed(FIRST, 0, 2), claimed(SECOND, 0), claimed("00000000-0000-0000-0000-000000000000", 0)):
            with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError, match="can be claimed for the plan"):
                await execute(url, forged)
        assert {row[1] for row in await rows(database_url, STANDS)} == {"open"}
        # A cancel lets the batch in flight be sent.
        await execute(url, claimed(FIRST, 0), f"UPDATE replay SET state = 'cancelled' WHERE replay_id = '{FIRST}'")
        await execute(url, claimed(FIRST, 1))
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
            await execute(url, claimed(FIRST, 1))
    assert [row[1] for row in await rows(database_url, STANDS)] == ["claimed", "claimed", "open", "open"]


async def test_what_is_let_go_is_what_it_was(database_url: str) -> None:
    """A release restores the earlier replay of a dead letter, and its plan keeps the outcome meanwhile."""
    outcome = f"SELECT position, replayed_as FROM replay_outcome WHERE replay_id = '{FIRST}' ORDER BY position"
    await execute(
        database_url,
        LETTERS,
        plan(FIRST, "sent"),
        plan(SECOND),
        f"UPDATE bridge_event_raw SET disposition = 'replayed', replay_id = '{FIRST}', replayed_as = 't:0:3',"
        " replay_digest = '1' WHERE raw_offset = 0",
    )
    before = await rows(database_url, STANDS)
    with account(database_url, Service.API) as url:
        await execute(url, claimed(SECOND, 0, 1))
        assert [row[1:3] for row in await rows(database_url, STANDS)][:2] == [("claimed", SECOND)] * 2
        assert await rows(database_url, outcome) == [(1, "t:0:3"), (2, None)]
        # As a run does that resumes it.
        await execute(url, resumed(SECOND))
        assert await let(url, SECOND, 0, 1) == 2
        assert await let(url, SECOND, 0, 1) == 0
    after = await rows(database_url, STANDS)
    assert (after[0], after[1][:4]) == (before[0], before[1][:4])
    assert await rows(database_url, outcome) == [(1, "t:0:3"), (2, None)]


async def test_a_claim_of_a_run_of_another_account_stays(database_url: str) -> None:
    """While an account runs a plan, no other releases its claims, even if it resumes or cancels the plan itself."""
    await execute(database_url, LETTERS, plan(FIRST), claimed(FIRST, 0, 1))
    with account(database_url, Service.API) as url, account(database_url, Service.API) as other:
        for runs, name in ((database_url, urlsplit(database_url).username), (other, urlsplit(other).username)):
            async with connected(url) as conn, conn.transaction():
                # This transaction's list of sessions lacks the run's.
                assert await conn.fetchval("SELECT count(*) FROM pg_stat_activity") > 0
                async with run_lock(runs, lock_of(FIRST), "replay"):
                    for taken in ("SELECT", resumed(FIRST), cancelled(FIRST)):
                        await execute(url, taken)
                        with pytest.raises(asyncpg.InsufficientPrivilegeError, match=f"{name} runs the plan {FIRST}"):
                            await let(url, FIRST, 0, 1)
                    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="runs the plan"):
                        await let_go(conn, FIRST, [Provenance("t", 0, 0)])
        assert [row[1] for row in await rows(database_url, STANDS)] == ["claimed", "claimed", "open", "open"]
        async with run_lock(other, lock_of(FIRST), "replay"):
            assert await let(database_url, FIRST, 0) == 1
            assert await let(other, FIRST, 1) == 1


async def test_a_claim_is_released_by_an_account_that_takes_up_its_plan(database_url: str) -> None:
    """An account has to resume or cancel a plan of another before it releases the plan's claims, which notes its name."""
    await execute(database_url, LETTERS, plan(FIRST), plan(SECOND), claimed(FIRST, 0), claimed(SECOND, 1))
    with account(database_url, Service.API) as url:
        for one, place, taken in ((FIRST, 0, resumed(FIRST)), (SECOND, 1, cancelled(SECOND))):
            ender = f"SELECT ended_written_by FROM replay WHERE replay_id = '{one}'"
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="neither cancelled nor resumed the plan"):
                await let(url, one, place)
            await execute(url, taken)
            assert await rows(database_url, ender) == [(urlsplit(url).username,)]
            async with run_lock(url, lock_of(one), "replay"):
                assert await let(url, one, place) == 1
        await execute(database_url, claimed(SECOND, 0))
        # Also after the owner has cancelled it, such as from a terminal.
        await execute(database_url, resumed(SECOND), cancelled(SECOND))
        assert await let(url, SECOND, 0) == 1


async def test_a_run_that_begins_while_a_release_waits_keeps_its_claims(database_url: str) -> None:
    """A session that waits for a row does not release what a run of another account has claimed meanwhile."""
    await execute(database_url, LETTERS, plan(FIRST), claimed(FIRST, 0, 1))
    with account(database_url, Service.API) as url:
        await execute(url, resumed(FIRST))
        async with connected(database_url) as conn, run_lock(database_url, lock_of(SECOND), "another replay"):
            async with conn.transaction():
                await conn.execute("SELECT FROM bridge_event_raw WHERE raw_offset = 0 FOR UPDATE")
                waiting = asyncio.create_task(let(url, FIRST, 0, 1))
                await wait_until(lambda: value(database_url, LOCK_AWAITED), budget_seconds=30, describe="the lock")
                assert await conn.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", lock_of(FIRST))
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="runs the plan"):
                await waiting


async def test_an_event_keeps_the_identity_that_it_has(database_url: str) -> None:
    """An account sets site, script and sender class once; the owner changes them, as a backfill does."""
    known = "UPDATE bridge_event_raw SET site_id = 1, script_id = 's', sender = 'direct' WHERE raw_offset = 0"
    await execute(database_url, LETTERS, "UPDATE bridge_event_raw SET site_id = 7 WHERE raw_offset < 2")
    identity = "SELECT site_id, script_id, sender FROM bridge_event_raw WHERE raw_offset < 2 ORDER BY raw_offset"
    with account(database_url, Service.WORKER) as url:
        # Before the sender class is known, the site is only what the event says.
        await execute(url, known)
        for forged in ("site_id = 2", "site_id = NULL", "script_id = 't'", "sender = 'server'", "sender = NULL"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match=f"bridge_event_raw.{forged.split()[0]}"):
                await execute(url, f"UPDATE bridge_event_raw SET {forged} WHERE raw_offset = 0")
        await execute(url, f"{known} OR raw_offset = 1")
    assert await rows(database_url, identity) == [(1, "s", "direct")] * 2
    await execute(database_url, known.replace("= 1", "= 3"))
    assert (await rows(database_url, identity))[0] == (3, "s", "direct")


async def test_no_account_removes_a_plan_that_is_young_or_holds_a_dead_letter(database_url: str) -> None:
    """No statement of an account removes such a plan; older plans can be removed."""
    held, old = SECOND, "00000000-0000-4000-8000-000000000003"
    await execute(database_url, LETTERS, plan(FIRST, "sent"), plan(held, age="2 days"), plan(old, "sent", age="2 days"))
    await execute(
        database_url,
        claimed(held, 0),
        f"UPDATE replay SET updated_at = now() - interval '2 days' WHERE replay_id = '{held}'",
    )
    with account(database_url, Service.WORKER) as url:
        await execute(url, f"DELETE FROM replay WHERE replay_id IN ('{FIRST}', '{held}')")
        assert len(await rows(database_url, "SELECT FROM replay")) == 3
        assert await prune(url, 1.5 * DAY) == 1
    assert {row[0] for row in await rows(database_url, "SELECT DISTINCT replay_id::text FROM replay_item")} == {
        FIRST,
        held,
    }
    assert await prune(database_url, 0) == 1


async def test_a_plan_of_an_account_is_as_large_and_as_old_as_it_is(database_url: str) -> None:
    """Size, age and progress are checked: the limits, the pruning and the status of plans depend on them."""
    made = (
        "INSERT INTO replay (replay_id, requested_by, filter, planned, sent_to, state, created_at, updated_at)"
        f" VALUES ('{FIRST}', 'x', '{{}}', %s, %s, 'planned', '0001-01-02', '%s')"
    )
    items = (
        "INSERT INTO replay_item (replay_id, position, raw_topic, raw_partition, raw_offset, forecast)"
        f" SELECT '{FIRST}', n * 10, 't', 0, n, 'passes' FROM generate_series(1, 3) AS n"
    )
    sized = f"UPDATE replay SET planned = %s WHERE replay_id = '{FIRST}'"
    with account(database_url, Service.API) as url:
        for forged in (made % (1, 0, "0001-01-02"), made % (0, 1, "0001-01-02")):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="INSERT of replay"):
                await execute(url, forged)
        first = made % (0, 0, "9999-01-01")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match=r"replay\.planned: the plan has 3 items"):
            await execute(url, f"BEGIN; {first}; {items}; {sized % 4}; COMMIT")
        await execute(url, f"BEGIN; {first}; {items}; {sized % 3}; COMMIT")
        assert await rows(
            database_url, "SELECT planned, abs(extract(epoch FROM now() - updated_at)) < 600 FROM replay"
        ) == [(3, True)]
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match=r"replay\.sent_to: the last item is at 30"):
            await execute(url, "UPDATE replay SET sent_to = 31")
        await execute(url, "UPDATE replay SET sent_to = 30", "UPDATE replay SET sent_to = 10")
    # The owner may, as when history is imported.
    await execute(database_url, "UPDATE replay SET planned = 4, sent_to = 40")


async def test_history_is_as_old_as_the_clock_says(database_url: str) -> None:
    """The time of the statement counts, not that of the transaction's start."""
    made = f"INSERT INTO replay (replay_id, requested_by, filter, planned, state) VALUES ('{FIRST}', 'x', '{{}}', 0, 'planned')"
    run = "INSERT INTO script_run (run_id, script, started_by, started_at) VALUES ('r', 'dlq-plan', 'x', now())"
    with account(database_url, Service.API) as url:
        async with connected(url) as conn, conn.transaction():
            await conn.execute(made)
            await conn.execute(run)
            ages = "SELECT written_at > now() AND {} FROM {}"
            assert await conn.fetchval(ages.format("updated_at > now()", "replay"))
            assert await conn.fetchval(ages.format("true", "script_run"))
        await execute(database_url, "UPDATE replay SET updated_at = now() - interval '2 days'")
        async with connected(url) as conn, conn.transaction():
            await conn.execute("UPDATE replay SET state = 'running', updated_at = now()")
            assert await conn.fetchval("SELECT updated_at > now() FROM replay")
    # The owner may set other times, as when history is imported.
    await execute(database_url, "UPDATE replay SET updated_at = now() - interval '2 days'")
    assert await rows(database_url, "SELECT updated_at < now() - interval '1 day' FROM replay") == [(True,)]


async def test_a_transaction_that_is_open_makes_no_plan_of_others(database_url: str) -> None:
    """Equal transaction numbers don't suffice: in a restored database numbers start again."""
    made = f"INSERT INTO replay (replay_id, requested_by, filter, planned, state) VALUES ('{FIRST}', 'x', '{{}}', 0, 'planned')"
    item = f"INSERT INTO replay_item VALUES ('{FIRST}', 1, 't', 0, 0, 'fails')"
    with account(database_url, Service.API) as url:
        async with connected(url) as conn, conn.transaction():
            await conn.execute("SELECT txid_current(); SET idle_in_transaction_session_timeout = 0")
            await execute(url, f"BEGIN; {made}; {item}; COMMIT")
            await conn.execute("SELECT keep_passing($1)", FIRST)
            assert await conn.fetchval("SELECT count(*) FROM replay_item") == 1
        async with connected(url) as conn, conn.transaction():
            own = await conn.fetchval("SELECT pg_current_xact_id()::text")
            await execute(database_url, f"UPDATE replay SET written_in = '{own}'")
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only the transaction that makes a plan"):
                await conn.execute(item.replace("1, 't', 0, 0", "2, 't', 0, 1"))
