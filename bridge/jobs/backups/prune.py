"""`bridge backup prune` as a job: backups that are older than BRIDGE_BACKUP_KEEP are removed from the store."""

from datetime import UTC, datetime, timedelta
from typing import Final

from bridge.backups.objects import manifest_name
from bridge.jobs.backups.needs import note_store, postgres_alone
from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import BackupPruneSummary
from sinks.store.opening import open_store
from streams.rules.backups import KeptBackup, expired

UNFINISHED: Final = timedelta(days=2)
"""A dump without a manifest that is older belongs to no backup that is being made."""


def prune_job(settings: Settings) -> Job[BackupPruneSummary]:
    """Return the job that removes old backups; the newest one and the newest verified one stay."""
    store = open_store(settings.store)

    async def work(run: Run[BackupPruneSummary]) -> None:
        now = datetime.now(UTC)
        found = await note_store(run, settings, store)
        kept = [KeptBackup(one.manifest.backup_id, one.manifest.taken_at, one.verified) for one in found.backups]
        old = expired(kept, now, timedelta(seconds=settings.backup_keep.seconds))
        objects = {one.manifest.backup_id: one.objects for one in found.backups}
        run.summary.kept_total = len(kept) - len(old)
        for backup_id in old:
            with run.target(f"backup:{backup_id}"):
                if not run.dry_run:
                    # Without its manifest it is no backup, so one that is removed in part is never restored.
                    await store.delete(manifest_name(backup_id))
                    for name in objects[backup_id]:
                        await store.delete(name)
                run.summary.removed.append(backup_id)
                run.summary.processed_total += 1
        for left in (one for one in found.unfinished if now - one.modified_at > UNFINISHED):
            if not run.dry_run:
                await store.delete(left.name)
            run.summary.unfinished.append(left.name)
        if old and not run.dry_run:
            await note_store(run, settings, store)

    return Job("backup-prune", BackupPruneSummary, work, ready=postgres_alone)
