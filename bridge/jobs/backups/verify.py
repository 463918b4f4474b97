"""`bridge backup verify` as a job: a backup is restored into a scratch database, and compared with its manifest there."""

from bridge.backups.checking import verify_backup
from bridge.backups.objects import find_backup, write_check
from bridge.jobs.backups.needs import note_store, postgres_alone
from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import BackupSummary
from schemas.errors import Damaged
from sinks.store.opening import open_store


def verify_job(settings: Settings, asked: str) -> Job[BackupSummary]:
    """Return the job that verifies the backup `asked`, or the newest one. A backup with a problem fails the run."""
    store = open_store(settings.store)

    async def work(run: Run[BackupSummary]) -> None:
        run.summary.stored_at = store.address
        manifest = await find_backup(store, asked)
        run.summary.backup_id, run.summary.processed_total = manifest.backup_id, manifest.rows
        run.summary.stored_bytes, run.summary.tables = manifest.stored_bytes, len(manifest.tables)
        run.summary.encrypted = manifest.encryption is not None
        with run.target(f"backup:{manifest.backup_id}"):
            check = await verify_backup(settings, store, manifest)
            run.summary.restore_seconds, run.summary.problems = check.restore_seconds, check.problems
            await write_check(store, check)
            if check.problems:
                raise Damaged(f"backup {manifest.backup_id} is not verified: {'; '.join(check.problems)}")
        await note_store(run, settings, store)

    return Job("backup-verify", BackupSummary, work, ready=postgres_alone)
