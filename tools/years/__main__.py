"""Simulated years of retention on Postgres: each day is committed, old rows are removed, and the audit balances.

A month of events is archived and verified before it is removed. Each month is restored once, and removed again the next day.

    PYTHONPATH=tests:. python -m tools.years --days 400 --sites 50

Each day's retention is killed several times between two statements. The deep audit runs every ten days. It ends with 1 if an audit does not
balance, or if the windows have more than 2 GB.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

import asyncpg
from support.events.dying import Killed, dying_after
from support.infrastructure.databases import create_database
from support.infrastructure.servers import embedded

from bridge.archives.removing import verified_part
from schemas.config.settings import Settings
from schemas.documents.audit_report import AuditReport
from schemas.pipeline.audit_snapshot import LogBounds
from schemas.pipeline.record import TopicPartition
from schemas.pipeline.retention import RetentionKind
from sinks.postgres.audit.snapshot import read_snapshot
from sinks.postgres.connection import connection
from sinks.postgres.retention import plans
from sinks.postgres.schema.migrate import migrate
from streams.rules.audit import judge
from streams.rules.retention import steps
from tools.years.months import Months

DAY: Final = (Path(__file__).parent / "day.sql").read_text()
KEEP: Final = {
    "keep_ledger": "2160h", "keep_healed_payloads": "720h", "keep_minute_windows": "840h", "keep_hour_windows": "2160h",
    "keep_runs": "4320h", "keep_keys": "1080h", "keep_events": "1464h",
}  # fmt: skip
PARTITIONS: Final = 4
MOST_BYTES: Final = 2 * 10**9
KILLS: Final = 5


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # this is what a command line is for


class Years:
    """A database with the days that were committed so far. `records` are those of a day and partition."""

    def __init__(self, url: str, store: str, days: int, sites: int, records: int, seed: int) -> None:
        self.settings = Settings(
            database_url=url, kafka_bootstrap_servers="127.0.0.1:1", store_url=f"file://{store}", **KEEP
        )  # type: ignore[arg-type]
        self.months_of_events = Months(self.settings, Random(seed))
        self.days, self.sites, self.records = days, sites, records
        self.random = Random(seed)
        self.first = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)

    async def months(self, conn: asyncpg.Connection) -> None:
        """Create the partitions of the simulated months."""
        for number in range(self.days + 31):
            day = (self.first + timedelta(days=number)).date()
            if number == 0 or day.day == 1:
                first = day.replace(day=1)
                after = (first + timedelta(days=32)).replace(day=1)
                await conn.execute(
                    f"CREATE TABLE IF NOT EXISTS bridge_event_{first:%Y_%m} PARTITION OF bridge_event"
                    f" FOR VALUES FROM ('{first} 00:00:00+00') TO ('{after} 00:00:00+00')"
                )

    async def retain(self, now: datetime) -> int:
        """Make a plan for the time `now` and apply it, killed at some statements; return the rows that it removed."""
        url = self.settings.dsn
        async with connection(url, "years") as conn:
            wanted = steps(self.settings, now, await plans.oldest_month(conn))
            await self.months_of_events.archive(conn, wanted)
            plan_id = await plans.add_plan(conn, "years", now, await plans.counted(conn, wanted))
        kills, removed = KILLS, 0
        async with connection(url, "years") as conn:
            todo = list((await plans.find_plan(conn, plan_id)).steps)
        for step in todo:
            while step.ended_at is None:
                try:
                    if kills and self.random.random() < 0.3:
                        kills -= 1
                        plans.connection = dying_after(self.random.randrange(6))  # type: ignore[assignment]
                    if step.kind is RetentionKind.EVENTS:
                        step = await plans.go_on_month(url, plan_id, step, "years", verified_part(self.settings))
                    else:
                        step = await plans.go_on(url, plan_id, step, "years", 5000)
                except Killed:
                    pass
                finally:
                    plans.connection = connection  # type: ignore[attr-defined]
            removed += step.rows_removed
        return removed

    async def audit(self) -> tuple[AuditReport, float]:
        """Return the report of the deep audit, and its time in seconds."""
        began = time.monotonic()
        snapshot = await read_snapshot(self.settings, deep=True)
        ends = {
            TopicPartition(one.topic, one.partition): LogBounds(0, one.furthest) for one in snapshot.offsets.values()
        }
        return judge(snapshot, ends, self.settings.topics), time.monotonic() - began

    async def run(self) -> int:
        conn = await asyncpg.connect(self.settings.dsn)
        await self.months(conn)
        problems: list[str] = []
        removed = 0
        for number in range(self.days):
            begin = self.first + timedelta(days=number)
            await conn.execute(DAY, begin, number, PARTITIONS, self.records, self.sites)
            removed += await self.retain(begin + timedelta(days=1))
            for month in await self.months_of_events.restore():
                report, _ = await self.audit()
                problems += [f"restored {month}: {problem}" for problem in report.problems]
            if number % 10 == 9 or number == self.days - 1:
                await conn.execute("VACUUM ANALYZE gate_window, bridge_event_raw, bridge_event, script_run")
                report, seconds = await self.audit()
                problems += [f"day {number}: {problem}" for problem in report.problems]
                size = await conn.fetchval("SELECT pg_total_relation_size('gate_window')")
                say(
                    f"day {number + 1}: {removed} rows removed, {report.totals.removals} entries, audit {seconds:.2f} s, windows {size / 1e9:.2f} GB"
                )
                if problems:
                    break
        await conn.close()
        faults = problems[:10]
        if size > MOST_BYTES:
            faults.append(f"the windows have {size} bytes, more than {MOST_BYTES}")
        for fault in faults:
            say(f"broken: {fault}")
        return 1 if faults else 0


async def simulate(url: str, given: argparse.Namespace) -> int:
    await migrate(url, months_ahead=2)
    with tempfile.TemporaryDirectory() as store:
        return await Years(url, store, given.days, given.sites, given.records, given.seed).run()


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--sites", type=int, default=50)
    parser.add_argument("--records", type=int, default=500, help="records of a day and partition")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database-url", help="an empty database; by default one of an embedded Postgres")
    given = parser.parse_args(words)
    if given.database_url:
        return asyncio.run(simulate(given.database_url, given))
    with embedded() as stack:
        return asyncio.run(simulate(create_database(stack, "years"), given))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
