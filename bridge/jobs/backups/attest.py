"""`bridge backup attest` as a job: a backup that another program has made is noted, for the doctor and the alerts."""

from datetime import UTC, datetime

from bridge.jobs.backups.needs import postgres_alone
from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import BackupSummary
from sinks.postgres.backups.record import note_external


def attest_job(
    settings: Settings,
    name: str,
    taken_at: datetime | None,
    stored_at: str,
    note: str | None,
    restore_seconds: float | None,
) -> Job[BackupSummary]:
    """Return the job that notes an external backup; with `restore_seconds`, also that its restore was tried.

    `taken_at` is None for the time that is known of this backup, or now for a new one.
    """

    async def work(run: Run[BackupSummary]) -> None:
        run.summary.backup_id, run.summary.stored_at = name, stored_at
        run.summary.restore_seconds = restore_seconds
        with run.target(f"backup:{name}"):
            await note_external(
                settings.dsn, name, taken_at, datetime.now(UTC), stored_at, note, restore_seconds=restore_seconds
            )

    return Job("backup-attest", BackupSummary, work, ready=postgres_alone)
