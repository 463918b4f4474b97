"""`bridge backup create` as a job: a dump of the database goes into the store, without a copy on this machine."""

from bridge.backups.objects import manifest_name
from bridge.backups.writing import write_backup
from bridge.jobs.backups.needs import note_store, postgres_alone
from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import BackupSummary
from sinks.store.opening import open_store


def create_job(settings: Settings) -> Job[BackupSummary]:
    """Return the job that makes a backup. After any failure there is no backup, and the run fails."""
    store = open_store(settings.store)

    async def work(run: Run[BackupSummary]) -> None:
        run.summary.stored_at = store.address
        with run.target("database"):
            manifest = await write_backup(settings, store, run.summary.run_id)
            run.summary.backup_id = manifest.backup_id
            run.summary.stored_bytes, run.summary.processed_total = manifest.stored_bytes, manifest.rows
            run.summary.tables, run.summary.encrypted = len(manifest.tables), manifest.encryption is not None
            run.tell(f"written: {store.address}/{manifest_name(manifest.backup_id)}")
        if run.summary.backup_id:
            await note_store(run, settings, store)

    return Job("backup-create", BackupSummary, work, ready=postgres_alone)
