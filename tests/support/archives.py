"""Archives of a test: committed events of a month that has ended, hostile ones among them, and a store in a directory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bridge.archives.removing import verified_part
from bridge.archives.restoring import restorable_parts, restore_part
from bridge.jobs.archives.create import create_job
from bridge.jobs.archives.restore import restore_job
from bridge.jobs.archives.verify import verify_job
from bridge.jobs.frame import RunOptions, perform
from schemas.config.settings import Settings
from schemas.documents.run_summary import ArchiveSummary
from schemas.pipeline.record import Provenance
from schemas.pipeline.retention import RetentionKind
from sinks.postgres.archives.month import Month
from sinks.postgres.connection import connection
from sinks.postgres.retention import plans
from sinks.postgres.schema.monthly_partitions import make_month
from sinks.postgres.schema.monthly_partitions import month as shifted
from sinks.store.opening import open_store
from support.events.books import Books, kept
from support.events.making import RAW

MONTH: Final = Month(shifted(datetime.now(UTC).date(), -4))
HOSTILE: Final = 'tab\t, line\n, back\\slash, \\N, \\., quote", \x01, \u2028, 🙂, null'
AGED: Final = """
UPDATE bridge_event
SET received_at = $1::timestamptz + interval '10 hours' + raw_offset * interval '59 minutes 59.999999 s',
    occurred_at = CASE raw_offset WHEN 0 THEN '0001-01-01 00:00:00.000001+00'::timestamptz ELSE '9999-12-31 23:59:59.999999+00' END,
    user_agent = $2::text || raw_offset, value = (ARRAY[NULL, -999999999999999.999999, 0.000001, 0])[1 + raw_offset % 4],
    currency = '', properties = properties || jsonb_build_object('hostile', $2::text, 'number', 1e300, 'list', '[1, null, {}]'::jsonb)
WHERE received_at > now() - interval '1 day'
"""
ROWS: Final = """
SELECT md5(string_agg(e::text, E'\\n' ORDER BY raw_topic, raw_partition, raw_offset)) AS digest, count(*) AS rows
FROM bridge_event AS e WHERE received_at >= $1 AND received_at < $2
"""


class ArchivedBooks:
    """Books of which all events so far are in a month that has ended, and the jobs of archives on them."""

    def __init__(self, books: Books, store: Path) -> None:
        self.books, self.store = books, store
        self.settings: Settings = books.settings.model_copy(
            update={"store_url": f"file://{store}", "keep_events": None}
        )

    async def age(self) -> None:
        """Move all events into the month, an hour apart, and make their values unusual."""
        await self.books.fetch(AGED, MONTH.begin, HOSTILE)

    async def rows(self) -> tuple[str, int]:
        """Return a digest of the month's rows, by Postgres' text of them, and their number."""
        row = (await self.books.fetch(ROWS, MONTH.begin, MONTH.end))[0]
        return row["digest"], row["rows"]

    async def create(self, month: Month = MONTH) -> tuple[ArchiveSummary, int]:
        """Archive the month, or another one."""
        return await perform(create_job(self.settings, month), self.settings, RunOptions("archive"))

    async def verify(self) -> tuple[ArchiveSummary, int]:
        """Verify the month's archive."""
        return await perform(verify_job(self.settings, MONTH), self.settings, RunOptions("archive"))

    async def restore(self) -> tuple[ArchiveSummary, int]:
        """Restore the month."""
        return await perform(restore_job(self.settings, MONTH), self.settings, RunOptions("archive"))

    async def bring_back(self) -> None:
        """Restore the month without a run around it."""
        store = open_store(self.settings.store)
        for part in await restorable_parts(self.settings, store, MONTH):
            await restore_part(self.settings, store, MONTH, part, "run")

    async def plan(self) -> str:
        """Store a plan that removes the month."""
        return await self.books.plan(RetentionKind.EVENTS, before=MONTH.end)

    async def remove(self, plan_id: str | None = None) -> int:
        """Apply a plan, by default a new one; return the number of rows that were removed."""
        plan_id = plan_id or await self.plan()
        (step,) = await self.books.steps(plan_id)
        while step.ended_at is None:
            step = await plans.go_on_month(self.books.url, plan_id, step, "run", verified_part(self.settings))
        return step.rows_removed

    async def archived(self) -> None:
        """Archive and verify the month, which has to succeed."""
        for job in (self.create, self.verify):
            summary, code = await job()
            assert code == 0, summary.errors

    def files(self, pattern: str) -> list[Path]:
        """Return the files of the store that match a pattern, by name."""
        return sorted(path for path in self.store.rglob(pattern) if path.is_file())


@asynccontextmanager
async def archived_books(url: str, store: Path) -> AsyncIterator[ArchivedBooks]:
    """Books with events of two partitions in the month, one of them healed at a retry."""
    async with connection(url, "test") as conn:
        await make_month(url, conn, MONTH.first)
    async with kept(url) as books:
        found = ArchivedBooks(books, store)
        await commit(books)
        await found.age()
        yield found


async def commit(books: Books, **given: Any) -> None:
    """Commit events of two partitions: ordinary ones, dropped ones, and one that heals at a retry."""
    await books.commit(*(books.raw(0, **given) for _ in range(4)), books.raw(0, value=b"{"))
    first, late = books.raw(1), books.raw(1, script_id="late")
    await books.commit(first, late, books.raw(1))
    place = Provenance(RAW, 1, late.offset)
    await books.commit(books.retry(place, 2), named=[place], known=True)
