"""`bridge archive restore` as a job: the removed events of a month come back into Postgres, row for row."""

from bridge.archives.restoring import restorable_parts, restore_part
from bridge.jobs.archives.needs import postgres_with_schema
from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import ArchiveSummary
from sinks.archives.parquet import demand_pyarrow
from sinks.postgres.archives.month import Month
from sinks.store.opening import open_store


def restore_job(settings: Settings, month: Month) -> Job[ArchiveSummary]:
    """Return the job that restores the parts of a month that are removed, each in one transaction."""
    store = open_store(settings.store)

    async def work(run: Run[ArchiveSummary]) -> None:
        run.summary.month, run.summary.stored_at = str(month), store.address
        demand_pyarrow()
        for part in await restorable_parts(settings, store, month):
            with run.target(f"{month} {part.manifest.archive_id}"):
                rows = await restore_part(settings, store, month, part, run.summary.run_id)
                run.summary.parts.append(part.manifest.archive_id)
                run.summary.processed_total += rows
                run.summary.files += len(part.manifest.files)
                run.summary.stored_bytes += part.manifest.bytes

    return Job("archive-restore", ArchiveSummary, work, ready=postgres_with_schema)
