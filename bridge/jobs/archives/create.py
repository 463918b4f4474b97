"""`bridge archive create` as a job: the events of a month go into the store as Parquet files."""

from bridge.archives.objects import manifest_name
from bridge.archives.writing import write_part
from bridge.jobs.archives.needs import postgres_with_schema
from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import ArchiveSummary
from sinks.postgres.archives.month import Month
from sinks.store.opening import open_store


def create_job(settings: Settings, month: Month) -> Job[ArchiveSummary]:
    """Return the job that archives the stored events of a month. After any failure there is no new part."""
    store = open_store(settings.store)

    async def work(run: Run[ArchiveSummary]) -> None:
        run.summary.month, run.summary.stored_at = str(month), store.address
        with run.target(str(month)):
            manifest = await write_part(settings, store, month, run.summary.run_id)
            run.summary.parts, run.summary.superseded = [manifest.archive_id], manifest.supersedes
            run.summary.processed_total, run.summary.files = manifest.rows, len(manifest.files)
            run.summary.stored_bytes = manifest.bytes
            run.tell(f"written: {store.address}/{manifest_name(month, manifest.archive_id)}")

    return Job("archive-create", ArchiveSummary, work, ready=postgres_with_schema)
