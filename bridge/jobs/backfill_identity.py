"""`bridge identity backfill` as a job: sets the site and the sender class of ledger rows that have no sender class.

The ledger is the table of failed events, one row for each. The stored gateway headers of a row name its site and
sender.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import IdentitySummary
from schemas.pipeline.record import Provenance
from schemas.pipeline.registry import Registry
from sinks.postgres.connection import Connection, connection
from sinks.postgres.gate.windows import add_to_windows
from sinks.postgres.identity.attribution import (
    BEGINNING,
    Attribution,
    Unattributed,
    attribute,
    read_unattributed,
    read_windows,
)
from sinks.postgres.registry.cache import RegistryCache
from streams.attribution import attributed, move_of, window_changes
from streams.pipeline.trust import GatewayTrust

PAGE: Final = 500

Found = list[tuple[Unattributed, Attribution]]


def backfill_job(settings: Settings, limit: int | None) -> Job[IdentitySummary]:
    """Return the job that sets site and sender class of at most `limit` rows of the ledger; None means all rows.

    The ledger is the table of failed events. The job changes some thousand rows in each transaction. After an
    interruption, run the job again for the remaining rows.
    """

    async def work(run: Run[IdentitySummary]) -> None:
        registry = await RegistryCache.loaded(settings)
        trust = GatewayTrust(settings.proof_keys, registry.legacy_until_ms)
        after = BEGINNING
        with run.target("ledger"):
            async with connection(settings.dsn, "identity") as conn:
                while (left := _left(run, limit)) > 0:
                    run.check_lock()
                    page = await read_unattributed(conn, after, min(PAGE, left))
                    if not page:
                        break
                    after = page[-1].provenance
                    await _backfill(conn, run, page, trust, registry.current)

    return Job("identity-backfill", IdentitySummary, work)


def _left(run: Run[IdentitySummary], limit: int | None) -> int:
    return PAGE if limit is None else limit - run.summary.processed_total


async def _backfill(
    conn: Connection, run: Run[IdentitySummary], page: list[Unattributed], trust: GatewayTrust, registry: Registry
) -> None:
    found: Found = []
    for row in page:
        attribution = attributed(row, trust)
        if attribution is None:
            run.summary.unknown_key_total += 1
        else:
            found.append((row, attribution))
    # A dry run writes as well, and rolls back: Postgres refuses then what it would refuse.
    async with _rolled_back(conn) if run.dry_run else conn.transaction():
        changed = await attribute(conn, [attribution for _, attribution in found])
        await _settle(conn, run, _of(found, changed), registry)
    run.summary.processed_total += len(page)
    run.tell(f"{run.summary.processed_total} rows read, {run.summary.changed_total} of them given another site")


@asynccontextmanager
async def _rolled_back(conn: Connection) -> AsyncIterator[None]:
    transaction = conn.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


def _of(found: Found, changed: set[Provenance]) -> Found:
    return [one for one in found if one[0].provenance in changed]


async def _settle(conn: Connection, run: Run[IdentitySummary], found: Found, registry: Registry) -> None:
    """Move the counts of these ledger rows to the windows of their new sites.

    A window is a row with the counts of events of one site in one minute.
    """
    moves = [move for row, attribution in found if (move := move_of(row, attribution, registry)) is not None]
    present = await read_windows(conn, sorted({move.window for move in moves}))
    changes, without = window_changes(moves, present)
    await add_to_windows(conn, changes)
    summary = run.summary
    summary.windows_moved_total += sum(count for counts in changes.values() for count in counts if count > 0)
    summary.windows_missing_total += without
    for row, attribution in found:
        summary.by_sender[attribution.sender] = summary.by_sender.get(attribution.sender, 0) + 1
        if (row.site_id, row.script_id) != (attribution.site_id, attribution.script_id):
            summary.changed_total += 1
            site = str(attribution.site_id)
            summary.changed_by_site[site] = summary.changed_by_site.get(site, 0) + 1
