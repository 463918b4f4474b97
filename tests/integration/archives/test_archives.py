"""Archives of a month of events on Postgres: written, verified, removed by, and restored; the audit balances throughout."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support.archives import MONTH, ArchivedBooks, archived_books, commit
from support.events.dying import Killed, dying_after
from support.wait import wait_until

from bridge.archives.removing import verified_part
from schemas.errors import PreconditionFailed
from sinks.archives import parquet
from sinks.postgres.archives import restoring, rows
from sinks.postgres.archives.month import Month
from sinks.postgres.backups.snapshot import exported_snapshot
from sinks.postgres.connection import connection
from sinks.postgres.retention import plans
from sinks.postgres.statements import sql

OF_THE_ADMINISTRATOR = """
ALTER TABLE bridge_event ADD x_real double precision, ADD x_id uuid, ADD x_list text[], ADD x_small smallint, ADD x_number numeric,
    ADD x_flag boolean, ADD x_span interval, ADD "x ""quoted" text, ADD x_bytes bytea;
UPDATE bridge_event SET x_real = (ARRAY['NaN', '-0', '1e-300', '0.1'])[1 + raw_offset % 4]::float8, x_id = gen_random_uuid(),
    x_list = ARRAY['a,b', NULL, '"\\'], x_small = -32768, x_number = 'Infinity', x_flag = raw_offset % 2 = 0, x_span = '1 mon 2 days 00:00:00.000001',
    "x ""quoted" = E'\\t', x_bytes = '\\x00ff';
"""


async def balanced(archive: ArchivedBooks) -> bool:
    """Whether the deep audit has no problem."""
    return (await archive.books.audit()).problems == []


@pytest.mark.parametrize("columns", ["", OF_THE_ADMINISTRATOR], ids=["as it is", "with an administrator's columns"])
async def test_a_month_is_archived_removed_and_restored_row_for_row(
    database_url: str, tmp_path: Path, columns: str
) -> None:
    """All rows are as before, also with unusual values, and the audit balances before, between and after."""
    async with archived_books(database_url, tmp_path) as archive:
        for statement in filter(str.strip, columns.split(";\n")):
            await archive.books.fetch(statement)
        before = await archive.rows()
        states = [await balanced(archive)]
        await archive.archived()
        states.append(await balanced(archive))
        removed = await archive.remove()
        between = await archive.rows()
        states.append(await balanced(archive))
        summary, code = await archive.restore()
        states.append(await balanced(archive))

        assert (removed, between[1], code, summary.processed_total) == (before[1], 0, 0, before[1])
        assert await archive.rows() == before
        assert states == [True] * 4


async def test_rows_of_an_hour_are_in_several_row_groups(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read in batches that end within an hour, and written in groups of several batches."""
    monkeypatch.setattr(rows, "_FETCHED", 2)
    monkeypatch.setattr(parquet, "ROWS", 3)
    async with archived_books(database_url, tmp_path) as archive:
        await archive.books.fetch("UPDATE bridge_event SET received_at = date_trunc('day', received_at, 'UTC')")
        await archive.archived()

        files = [pq.ParquetFile(path).metadata for path in archive.files("*.parquet")]
        assert [(one.num_rows, one.num_row_groups) for one in files] == [(7, 2)]
        assert await archive.remove() == 7


async def test_keys_of_a_removed_month_may_be_removed(database_url: str, tmp_path: Path) -> None:
    """Its partition is still there, and has no event."""
    async with archived_books(database_url, tmp_path) as archive:
        await archive.archived()
        async with connection(database_url, "test") as conn:
            before = await plans.oldest_month(conn)
            await archive.remove()
            after = await plans.oldest_month(conn)
            await archive.restore()

            assert (before, after, await plans.oldest_month(conn)) == (MONTH.begin, None, MONTH.begin)


async def test_a_process_that_is_killed_leaves_each_row_in_one_place(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removal and restore are killed before each of their statements, and end when they are run again."""
    async with archived_books(database_url, tmp_path) as archive:
        before = await archive.rows()
        await archive.archived()
        plan_id, kills = await archive.plan(), 0
        while await archive.rows() == before:
            with monkeypatch.context() as patched, suppress(Killed):
                patched.setattr(plans, "connection", dying_after(kills))
                await archive.remove(plan_id)
            kills += 2
        removed = await archive.remove(plan_id)
        states, restores = [await balanced(archive)], 0
        while (found := await archive.rows()) != before:
            assert found[1] == 0
            with monkeypatch.context() as patched, suppress(Killed):
                patched.setattr(restoring, "connection", dying_after(restores))
                await archive.bring_back()
            restores += 2
        states.append(await balanced(archive))

        assert removed == before[1]
        assert min(kills, restores) > 8  # each in steps of two statements
        assert states == [True, True]


async def test_nothing_is_removed_without_a_verified_archive(database_url: str, tmp_path: Path) -> None:
    """The error names the command that is missing, and all rows stay."""
    async with archived_books(database_url, tmp_path) as archive:
        before = await archive.rows()
        with pytest.raises(PreconditionFailed, match=f"run `bridge archive create {MONTH}`"):
            await archive.remove()
        await archive.create()
        with pytest.raises(PreconditionFailed, match=f"is not verified: run `bridge archive verify {MONTH}`"):
            await archive.remove()

        assert await archive.rows() == before


CHANGES = {
    "a row more": "INSERT INTO bridge_event SELECT * FROM bridge_event WHERE raw_partition = 0 AND raw_offset = 0",
    "a row fewer": "DELETE FROM bridge_event WHERE raw_partition = 0 AND raw_offset = 0",
    "another value": "UPDATE bridge_event SET properties = '{}' WHERE raw_partition = 1 AND raw_offset = 1",
    "NULL for an empty text": "UPDATE bridge_event SET currency = NULL WHERE raw_partition = 1 AND raw_offset = 1",
    "another column": "ALTER TABLE bridge_event ADD x_new text",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_month_that_changed_since_its_archive_is_not_removed(
    database_url: str, tmp_path: Path, change: str
) -> None:
    """The rows that are removed are compared with the archive, not only their number."""
    async with archived_books(database_url, tmp_path) as archive:
        await archive.archived()
        await archive.books.fetch(CHANGES[change])
        before = await archive.rows()
        with pytest.raises(PreconditionFailed, match=f"run `bridge archive create {MONTH}`"):
            await archive.remove()

        assert await archive.rows() == before
        assert await archive.books.fetch("SELECT FROM removal") == []


async def test_late_events_of_a_removed_month_get_a_part_of_their_own(database_url: str, tmp_path: Path) -> None:
    """They are stored like before, archived and removed, and both parts are restored."""
    async with archived_books(database_url, tmp_path) as archive:
        _, first = await archive.rows()
        await archive.archived()
        await archive.remove()
        await commit(archive.books)
        await archive.age()
        _, late = await archive.rows()
        await archive.archived()
        removed = await archive.remove()
        states = [await balanced(archive)]
        summary, code = await archive.restore()
        states.append(await balanced(archive))

        assert (removed, code, len(summary.parts)) == (late, 0, 2)
        assert (await archive.rows())[1] == first + late
        assert len(archive.files("_manifest.json")) == 2
        assert states == [True, True]


async def test_a_part_replaces_one_whose_rows_were_not_removed(database_url: str, tmp_path: Path) -> None:
    """Whoever reads all files counts each row once. The same rows are not archived twice."""
    async with archived_books(database_url, tmp_path) as archive:
        (first, _), (again, refused) = await archive.create(), await archive.create()
        await commit(archive.books)
        await archive.age()
        second, code = await archive.create()

        assert refused != 0
        assert f"is archived as it is stored, as {first.parts[0]}" in again.errors[0].reason
        assert (code, second.superseded) == (0, first.parts)
        assert {path.parts[-3] for path in archive.files("*.parquet")} == {f"part={second.parts[0]}"}


async def test_only_a_month_that_has_ended_and_has_events_is_archived(database_url: str, tmp_path: Path) -> None:
    """The error says when it can be archived."""
    async with archived_books(database_url, tmp_path) as archive:
        this = Month(datetime.now(UTC).date().replace(day=1))
        early, _ = await archive.create(this)
        empty, _ = await archive.create(Month(date(2001, 2, 1)))

        assert f"{this} has not ended: archive it from {this.end:%Y-%m-%d} on" in early.errors[0].reason
        assert "2001-02: no event of this month is stored" in empty.errors[0].reason
        assert archive.files("*") == []


async def test_files_that_belong_to_no_part_are_removed_by_the_next_one(database_url: str, tmp_path: Path) -> None:
    """A process was killed before it has written the manifest."""
    async with archived_books(database_url, tmp_path) as archive:
        left = tmp_path / f"archive/month={MONTH}/part=20260101T000000Z-0000/hour={MONTH}-01T00/events.parquet"
        left.parent.mkdir(parents=True)
        left.write_bytes(b"PAR1")
        await archive.archived()

        assert not left.exists()


async def test_a_duplicate_of_an_archived_event_is_refused(database_url: str, tmp_path: Path) -> None:
    """Its key is kept when its month is removed."""
    async with archived_books(database_url, tmp_path) as archive:
        await archive.archived()
        await archive.remove()
        await archive.books.commit(archive.books.raw(0, event_id="0-0"))

        assert (await archive.books.audit()).totals.dropped_by_reason["duplicate_event_id"] == 1
        assert await balanced(archive)


async def test_stored_events_are_not_restored_again(database_url: str, tmp_path: Path) -> None:
    """Neither before the removal, nor twice, nor beside a row that was put in by hand."""
    async with archived_books(database_url, tmp_path) as archive:
        before = await archive.rows()
        await archive.archived()
        early, _ = await archive.restore()
        await archive.remove()
        await archive.restore()
        twice, _ = await archive.restore()
        after = await archive.rows()
        await archive.remove()
        await archive.books.fetch(
            "INSERT INTO bridge_event (received_at, occurred_at, site_id, script_id, event_id, event_type, properties, schema_version,"
            " raw_topic, raw_partition, raw_offset, attempt) VALUES ($1, $1, 1, 's1', 'x', 'x', '{}', 1, 't.raw', 0, 0, 1)",
            MONTH.begin,
        )
        beside, _ = await archive.restore()

        assert "nothing to restore" in early.errors[0].reason
        assert "nothing to restore" in twice.errors[0].reason
        assert "the event t.raw:0:0 of the archive is stored already" in beside.errors[0].reason
        assert (after, (await archive.rows())[1]) == (before, 1)


@asynccontextmanager
async def auditing(url: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """The transaction of a deep audit, and how many events it sees."""
    async with connection(url, "test") as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        await conn.execute(sql("audit_events_lock"))
        yield lambda: conn.fetchval("SELECT count(*) FROM bridge_event")


@asynccontextmanager
async def backing_up(url: str) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """The snapshot of a backup, and how many events of the month it sees."""
    async with exported_snapshot(url) as snapshot:

        async def seen() -> int:
            return (await snapshot.count())[f"bridge_event_{MONTH.first:%Y_%m}"]

        yield seen


@pytest.mark.parametrize("reading", [auditing, backing_up])
async def test_a_removal_waits_for_those_that_read_the_events(
    database_url: str,
    tmp_path: Path,
    reading: Callable[[str], AbstractAsyncContextManager[Callable[[], Awaitable[int]]]],
) -> None:
    """TRUNCATE empties a table for older snapshots too, so that they would miss the rows and not see their entry."""
    async with archived_books(database_url, tmp_path) as archive:
        _, stored = await archive.rows()
        await archive.archived()
        async with reading(database_url) as count:
            removal = asyncio.create_task(archive.remove())
            waits = "SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
            await wait_until(lambda: archive.books.fetch(waits), budget_seconds=20, describe="the removal waits")
            seen = await count()

        assert (seen, await removal) == (stored, stored)
        assert await balanced(archive)


async def test_another_verification_counts_for_no_other_manifest(database_url: str, tmp_path: Path) -> None:
    """A verified part whose manifest is written again is not verified."""
    async with archived_books(database_url, tmp_path) as archive:
        await archive.archived()
        (manifest,) = archive.files("_manifest.json")
        manifest.write_text(manifest.read_text() + "\n")

        with pytest.raises(PreconditionFailed, match="is not verified"):
            await verified_part(archive.settings)(MONTH)
