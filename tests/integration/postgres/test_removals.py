"""Removals on Postgres: the deep audit balances through them, and finds each change that is not accounted for."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from support.events.books import REPLAY, Books, Life, hold, kept
from support.events.dying import Killed, dying_after
from support.infrastructure.accounts import account
from support.infrastructure.databases import as_admin

from bridge.dev.stack import StackAddresses
from schemas.config.service import Service
from schemas.documents.afterwards import Afterwards
from schemas.documents.audit_report import AuditReport
from schemas.pipeline.record import Provenance
from schemas.pipeline.retention import RetentionKind
from sinks.postgres.retention import plans
from sinks.postgres.retention.plans import go_on

LIVE = "NOT normalized OR disposition IN ('open', 'claimed')"
PLANNED = "(raw_topic, raw_partition, raw_offset) IN (SELECT raw_topic, raw_partition, raw_offset FROM replay_item)"
LEDGER = RetentionKind.LEDGER
BALANCED = [kind for kind in RetentionKind if kind not in (RetentionKind.KEYS, RetentionKind.EVENTS)]
"""Without the keys, none of which may be missing for a week, and without events, which need an archive."""
HEALED, OPEN, DISCARDED, DUPLICATE, WAITING = (Provenance("t.raw", 0, offset) for offset in range(1, 6))
SPREAD = """
INSERT INTO gate_window
SELECT date_trunc('day', now(), 'UTC') - minute * interval '1 minute', site, 't.raw', 0, false, 3, 1, 1, 1, 1, 0, 0, 0, 0
FROM generate_series(1, 60 * 30, 7) AS minute, generate_series(1, 2) AS site
"""
FORGED = """
INSERT INTO gate_window
SELECT date_trunc('hour', now() - interval '3 days', 'UTC') + minute * interval '1 minute', 1, 't.raw', 0, false, 1e12, 1e12, 0, 0, 0, 0, 0, 0, 0
FROM generate_series(1, 2) AS minute
"""


async def interrupted(books: Books, plan_id: str, monkeypatch: pytest.MonkeyPatch, kills: Callable[[], int]) -> None:
    """Apply a plan whose process is killed again and again, after other numbers of statements."""
    for planned in await books.steps(plan_id):
        step = planned
        while step.ended_at is None:
            with monkeypatch.context() as patched:
                patched.setattr(plans, "connection", dying_after(kills()))
                with suppress(Killed):
                    step = await go_on(books.url, plan_id, step, "run", 3)


def unchanged(before: AuditReport, after: AuditReport) -> bool:
    """Whether removals changed no count but that of the removed, and no dead letter that is open or in a replay."""
    names = ("read", "persisted", "dropped", "dropped_by_reason", "retried", "waiting", "healed", "replays")
    was, is_ = before.totals.dropped_became or {}, after.totals.dropped_became or {}
    stays = (Afterwards.OPEN, Afterwards.REPLAYING, Afterwards.REPLAY)
    return (
        all(getattr(before.totals, name) == getattr(after.totals, name) for name in names)
        and all(was.get(one) == is_.get(one) for one in stays)
        and sum(was.values()) == sum(is_.values()) == after.totals.dropped
    )


@pytest.mark.parametrize("seed", range(2))
async def test_the_audit_balances_through_commits_and_removals(
    database_url: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Nothing that is open, waits or is in a plan is removed, and the audit counts every event once, after kills too."""
    async with kept(database_url) as books:
        life = Life(books, seed)
        for number in range(40):
            await life.act()
            if number % 8 < 7:
                continue
            before, live, planned = await books.audit(), await books.places(LIVE), await books.places(PLANNED)
            cut = datetime.now(UTC) + timedelta(days=life.random.choice((-1, 1)), hours=1)
            plan_id = await books.plan(*BALANCED, before=cut)
            await interrupted(books, plan_id, monkeypatch, lambda: life.random.randrange(12))
            after = await books.audit()

            assert before.problems == after.problems == []
            assert unchanged(before, after)
            assert (await books.places(LIVE), await books.places(PLANNED)) == (live, planned)
        assert (await books.audit()).totals.removed


async def filled(books: Books) -> None:
    """Rows of each kind on partition 0: persisted, healed, open, discarded, a duplicate, waiting."""
    await books.commit(
        books.raw(0), books.raw(0, script_id="late"), books.raw(0, value=b"{"), books.raw(0, value=b"["),
        books.raw(0, event_id="0-0"), books.raw(0, script_id="late"),
    )  # fmt: skip
    await books.commit(books.retry(HEALED, 2), named=[HEALED], known=True)
    await books.change("disposition = 'discarded'", DISCARDED)


async def test_closed_rows_are_removed_and_stay_in_the_counts(database_url: str) -> None:
    """The healed one, the discarded one and the duplicate go; the open and the waiting one stay."""
    async with kept(database_url) as books:
        await filled(books)

        assert await books.remove(LEDGER) == 3
        assert await books.places("true") == [OPEN, WAITING]
        report = await books.audit()
        assert report.problems == []
        totals = report.totals
        assert (totals.persisted, totals.dropped, totals.waiting, totals.healed) == (2, 3, 1, 1)
        assert (totals.removed, totals.removals) == (2, 1)
        assert totals.dropped_became == {Afterwards.OPEN: 1, Afterwards.REMOVED: 2}


async def test_an_item_of_a_plan_is_not_removed(database_url: str) -> None:
    """What became of a plan's items is read from their rows."""
    async with kept(database_url) as books:
        await filled(books)
        await hold(books, DISCARDED)
        await books.remove(LEDGER)

        assert await books.places("true") == [OPEN, DISCARDED, WAITING]


async def test_a_replayed_row_stays_until_its_last_replay_is_finished(database_url: str) -> None:
    """A chain is removed from its first row on, once its last row is closed."""
    async with kept(database_url) as books:
        await filled(books)
        await books.change("disposition = 'claimed', replay_id = gen_random_uuid()", OPEN)
        await books.fetch(f"UPDATE bridge_event_raw SET replay_id = '{REPLAY}' WHERE disposition = 'claimed'")
        await books.commit(books.replay(1, OPEN, value=b"{"), named=[OPEN])
        again = Provenance("t.raw", 1, 0)
        await books.remove(LEDGER)
        assert await books.places("true") == [OPEN, WAITING, again]
        await books.change("disposition = 'discarded'", again)
        await books.remove(LEDGER)
        assert await books.places("true") == [WAITING]
        report = await books.audit()

        assert report.problems == []
        assert report.totals.dropped_became == {Afterwards.REMOVED: 3, Afterwards.REPLAY: 1}


TAMPERINGS = {
    "an entry changed": (
        "UPDATE removal SET ledger = ledger - 1, healed = 0 WHERE removal_id = 1",
        ["removal: closing entry 1 was changed", "first attempts", "healed at a retry but have no ledger row"],
    ),
    "an entry changed with its digest": (
        "UPDATE removal SET run_id = 'x' WHERE removal_id = 1; UPDATE removal AS r SET digest = removal_digest(r) WHERE removal_id = 1",
        ["removal: closing entry 2 has not the digest of the entry before it"],
    ),
    "an entry removed": (
        "DELETE FROM removal WHERE removal_id = 1",
        ["removal: closing entry 1 is missing", "are accounted for"],
    ),
    "the last entry removed": (
        "DELETE FROM removal WHERE removal_id = 2",
        ["removal: the chain ends at closing entry 1, but closing entry 2 was written last"],
    ),
    "all entries removed": (
        "TRUNCATE removal",
        ["removal: the chain ends at closing entry 0, but closing entry 2 was written last", "are accounted for"],
    ),
    "an entry without rows": (
        (
            "INSERT INTO removal (run_id, kind, raw_topic, raw_partition, first_offset, last_offset, rows, ledger, healed, rows_digest)"
            " VALUES ('x', 'ledger', 't.raw', 0, 1, 1, 1, 1, 1, '')"
        ),
        [
            "first attempts",
            "closing entries account for 2 healed ledger rows and 0 events of later attempts, but 1 events",
        ],
    ),
    "a row removed by hand": (
        "DELETE FROM bridge_event_raw WHERE NOT normalized",
        ["are accounted for", "all windows together count 2 retried, the rows 1"],
    ),
    "the event of a closed row removed": (
        "DELETE FROM bridge_event WHERE attempt > 1",
        [
            "are accounted for",
            "closing entries account for 1 healed ledger rows and 0 events of later attempts, but 0 events",
        ],
    ),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
async def test_a_change_by_hand_is_found(stack: StackAddresses, database_url: str, tampering: str) -> None:
    """A superuser without triggers changes an entry or a row."""
    async with kept(database_url) as books:
        await filled(books)
        await books.remove(LEDGER)
        await books.remove(RetentionKind.MINUTE_WINDOWS)
        assert (await books.audit()).problems == []
        statement, expected = TAMPERINGS[tampering]
        conn = await asyncpg.connect(as_admin(stack, database_url))
        try:
            role = "" if statement.startswith("INSERT") else "SET session_replication_role = replica;"
            await conn.execute(role + statement)
        finally:
            await conn.close()
        problems = (await books.audit()).problems

        assert [text for text in expected if not any(text in one for one in problems)] == [], problems


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE removal SET rows = 2",
        "DELETE FROM removal",
        "TRUNCATE removal",
        "DELETE FROM removal_head",
        "TRUNCATE removal_head",
    ],
)
async def test_nobody_changes_a_closing_entry(database_url: str, statement: str) -> None:
    """The owner neither."""
    async with kept(database_url) as books:
        await filled(books)
        await books.remove(LEDGER)

        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="closing entries account for removed rows"):
            await books.fetch(statement)


async def test_windows_are_added_up_to_hours_and_days(database_url: str) -> None:
    """Their sums stay the same, also when counts of an hour arrive later."""
    async with kept(database_url) as books:
        sums = "SELECT sum(processed), sum(normalized), sum(retried), sum(dropped), sum(dropped_invalid_payload_json) FROM gate_window"
        shapes = "SELECT minutes, count(*), count(DISTINCT window_start) FROM gate_window GROUP BY 1 ORDER BY 1"
        await books.fetch(SPREAD)
        before = await books.fetch(sums)
        await books.remove(RetentionKind.MINUTE_WINDOWS, most=5)
        hours = await books.fetch(shapes)
        await books.remove(RetentionKind.HOUR_WINDOWS)
        days = await books.fetch(shapes)

        assert await books.fetch(sums) == before
        assert [tuple(row) for row in hours] == [(60, 60, 30)]
        assert [tuple(row) for row in days] == [(1440, 4, 2)]


async def test_a_late_minute_leaves_a_day_a_day(database_url: str) -> None:
    """Its counts are added to the row of the day, which has the counts of 1440 minutes as before."""
    async with kept(database_url) as books:
        await books.fetch(SPREAD)
        await books.remove(RetentionKind.MINUTE_WINDOWS, RetentionKind.HOUR_WINDOWS)
        late = "INSERT INTO gate_window SELECT min(window_start) + interval '5 minutes', 1, 't.raw', 0, false, 3, 1, 1, 1, 1, 0, 0, 0, 0 FROM gate_window"
        await books.fetch(late)
        await books.remove(RetentionKind.MINUTE_WINDOWS)

        assert [row[0] for row in await books.fetch("SELECT DISTINCT minutes FROM gate_window")] == [1440]


async def test_forged_counts_do_not_stop_the_removal_of_windows(database_url: str) -> None:
    """The worker's account may write two minutes whose sum is more than a window may have."""
    async with kept(database_url) as books:
        await books.fetch(FORGED)
        await books.remove(RetentionKind.MINUTE_WINDOWS)

        found = await books.fetch("SELECT minutes, processed, normalized FROM gate_window")
        assert [tuple(row) for row in found] == [(60, 10**12, 10**12)]


async def test_payloads_of_healed_events_are_blanked(database_url: str) -> None:
    """Errors and attempts stay, and so do the payloads of dead letters."""
    async with kept(database_url) as books:
        await filled(books)
        kept_columns = "SELECT retry_count, last_error, updated_at FROM bridge_event_raw ORDER BY raw_offset"
        before = await books.fetch(kept_columns)

        assert await books.remove(RetentionKind.PAYLOADS) == 1
        assert await books.places("payload IS NULL AND record_key IS NULL") == [HEALED, DUPLICATE]
        assert await books.fetch(kept_columns) == before
        assert (await books.audit()).problems == []


async def test_keys_are_removed_and_counted(database_url: str) -> None:
    """A closing entry has their number."""
    async with kept(database_url) as books:
        await filled(books)
        await books.fetch("UPDATE bridge_event_key SET received_at = '2000-01-01 00:00+00'")

        assert await books.remove(RetentionKind.KEYS) == 2
        assert (await books.fetch("SELECT sum(keys) FROM removal"))[0][0] == 2
        # No key of the last 7 days may be missing, and only an operator's horizon of 30 days or more is accepted.
        assert (await books.audit()).problems == [
            "bridge_event_key: 0 keys for the 2 events of the last 7 days, in which none may be missing"
        ]


async def test_keys_of_a_month_that_is_attached_after_the_plan_stay(database_url: str) -> None:
    """A duplicate is refused as long as its event is stored, also if the month came back after the plan was made."""
    async with kept(database_url) as books:
        await books.fetch(
            "INSERT INTO bridge_event_key VALUES ('a', '2020-01-15 00:00+00'), ('b', '2020-02-15 00:00+00')"
        )
        plan_id = await books.plan(RetentionKind.KEYS, before=datetime(2020, 3, 1, tzinfo=UTC))
        await books.fetch(
            "CREATE TABLE bridge_event_2020_02 PARTITION OF bridge_event"
            " FOR VALUES FROM ('2020-02-01 00:00:00+00') TO ('2020-03-01 00:00:00+00')"
        )
        await books.fetch(
            "INSERT INTO bridge_event (received_at, occurred_at, site_id, script_id, event_id, event_type, properties, schema_version,"
            " raw_topic, raw_partition, raw_offset, attempt) VALUES ('2020-02-15 00:00+00', '2020-02-15 00:00+00', 1, 's', 'b', 'view', '{}',"
            " 1, 't.raw', 0, 0, 1)"
        )

        assert await books.apply(plan_id) == 1
        assert [row[0] for row in await books.fetch("SELECT event_key FROM bridge_event_key")] == [b"b"]


async def test_a_batch_of_keys_has_at_most_the_rows_of_the_setting(database_url: str) -> None:
    """Although a batch is chosen by blocks of the table, which have as many keys as fit."""
    async with kept(database_url) as books:
        await books.fetch(
            "INSERT INTO bridge_event_key SELECT substr(sha256(n::text::bytea), 1, 16), '2000-01-01 00:00+00' FROM generate_series(1, 3000) AS n"
        )

        assert await books.remove(RetentionKind.KEYS, most=1000) == 3000
        assert (await books.fetch("SELECT max(rows) <= 1000 FROM removal"))[0][0]


async def test_runs_are_removed_from_the_history(database_url: str) -> None:
    """A run that never ended counts from its beginning."""
    async with kept(database_url) as books:
        await books.fetch(
            "INSERT INTO script_run (run_id, script, started_by, started_at, ended_at) VALUES"
            " ('a', 'process', 'x', now() - interval '9 days', NULL), ('b', 'process', 'x', now() - interval '9 days', now()),"
            " ('c', 'process', 'x', now() - interval '9 days', now() - interval '8 days')"
        )

        assert await books.remove(RetentionKind.RUNS, before=datetime.now(UTC) - timedelta(days=7), most=1) == 2
        assert [row[0] for row in await books.fetch("SELECT run_id FROM script_run")] == ["b"]


@pytest.mark.parametrize("service", [Service.WORKER, Service.API, Service.GATEWAY, Service.READER])
async def test_no_service_writes_closing_entries(stack: StackAddresses, database_url: str, service: Service) -> None:
    """Only the owner removes rows and accounts for them."""
    with account(as_admin(stack, database_url), service) as url:
        conn = await asyncpg.connect(url)
        try:
            for statement in (
                "INSERT INTO removal (run_id, kind, rows, rows_digest) VALUES ('x', 'ledger', 1, '')",
                "UPDATE removal_head SET removals = 0",
                "INSERT INTO retention_plan (plan_id, created_by, run_id) VALUES (gen_random_uuid(), 'x', 'x')",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await conn.execute(statement)
        finally:
            await conn.close()
