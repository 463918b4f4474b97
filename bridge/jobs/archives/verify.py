"""`bridge archive verify` as a job: the archive of a month is read back from the store and compared with its manifests."""

from bridge.archives.checking import verify_part
from bridge.archives.objects import directory, read_archive, write_archive_check
from bridge.jobs.archives.needs import postgres_with_schema
from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import ArchiveSummary
from schemas.errors import Damaged, NoSuchThing
from sinks.archives.parquet import demand_pyarrow
from sinks.postgres.archives.entries import removed_parts
from sinks.postgres.archives.month import Month
from sinks.postgres.connection import connection
from sinks.store.opening import open_store


def verify_job(settings: Settings, month: Month) -> Job[ArchiveSummary]:
    """Return the job that verifies all parts of a month's archive. The result of each part is written to the store."""
    store = open_store(settings.store)

    async def work(run: Run[ArchiveSummary]) -> None:
        run.summary.month, run.summary.stored_at = str(month), store.address
        demand_pyarrow()
        found = await read_archive(store, month)
        async with connection(settings.dsn, "archive") as conn:
            removed = await removed_parts(conn, directory(month))
        names = {one.name for one in found.parts}
        missing = sorted({one.partition(" ")[0] for one in removed} - names)
        problems = [*found.damaged]
        problems += [f"{one}: missing or damaged, and closing entries account for events by it" for one in missing]
        if not found.parts and not problems:
            raise NoSuchThing(
                f"{store.address} has no archive of {month}; `bridge archive list` shows those that it has"
            )
        for part in found.parts:
            with run.target(f"{month} {part.manifest.archive_id}"):
                check = await verify_part(store, part, removed)
                await write_archive_check(store, check)
                run.summary.parts.append(part.manifest.archive_id)
                run.summary.processed_total += check.rows
                run.summary.files += len(part.manifest.files)
                run.summary.stored_bytes += part.manifest.bytes
                if check.problems:
                    run.summary.problems += check.problems
                    raise Damaged(f"archive {month} {part.manifest.archive_id} is damaged: {'; '.join(check.problems)}")
        for line in problems:
            with run.target(f"{month}: {line.partition(':')[0]}"):
                run.summary.problems.append(line)
                raise Damaged(line)

    return Job("archive-verify", ArchiveSummary, work, ready=postgres_with_schema)
