"""The verification of a backup: it is restored into a scratch database, and compared, checked and audited there."""

import time
from datetime import UTC, datetime
from importlib.metadata import version

from pydantic import SecretStr

from bridge.backups.reading import check_encrypted, differences, examined_target, restore_backup
from schemas.config.settings import Settings
from schemas.documents.backup_manifest import BackupManifest, BackupVerification
from schemas.errors import Damaged
from schemas.pipeline.audit_snapshot import LogBounds
from sinks.postgres.audit.snapshot import read_snapshot
from sinks.postgres.backups.target import in_schema, scratch_database
from sinks.postgres.schema.check import database_differences
from sinks.postgres.schema.migrate import migrations
from sinks.store.port import Store
from streams.rules.audit import judge

_MOST_PROBLEMS = 20


async def verify_backup(settings: Settings, store: Store, manifest: BackupManifest) -> BackupVerification:
    """Restore the backup into a database that is made for it and dropped afterwards; return what was found.

    A damaged backup is a result with a problem. Raises PreconditionFailed if the restore can't be tried, such as on a server
    that does not answer, and InvalidInput for a wrong key.
    """
    started, restored = time.monotonic(), 0.0
    server = settings.verify_database_url.get_secret_value() or settings.dsn
    check_encrypted(settings, "BRIDGE_VERIFY_DATABASE_URL", settings.verify_database_url.get_secret_value())
    async with scratch_database(server, settings.dsn) as scratch:
        await examined_target(manifest, scratch, privileges=False)
        try:
            restored = await restore_backup(settings, store, manifest, scratch, privileges=False)
        except Damaged as error:
            problems = [str(error)]
        else:
            problems = [*await differences(manifest, scratch), *await _examined(settings, manifest, scratch)]
    return BackupVerification(
        backup_id=manifest.backup_id,
        checked_at=datetime.now(UTC),
        release=version("ghostlink-bridge"),
        restore_seconds=round(restored, 3),
        seconds=round(time.monotonic() - started, 3),
        problems=problems[:_MOST_PROBLEMS],
    )


async def _examined(settings: Settings, manifest: BackupManifest, scratch: str) -> list[str]:
    """Return what `bridge db check` and the audit find in the restored database.

    A backup of another release is not checked, because its schema is another one. The audit has Postgres' part of its
    rules: each log is taken to end where the backup had read it.
    """
    if manifest.migrations != [one.name for one in migrations()]:
        return []
    scratch = in_schema(scratch, manifest.schema_name)
    found = (await database_differences(scratch, months_ahead=settings.partitions_ahead)).schema
    restored = settings.model_copy(update={"database_url": SecretStr(scratch)})
    for deep in (False, True):
        snapshot = await read_snapshot(restored, deep=deep)
        bounds = {log: LogBounds(0, offsets.furthest) for log, offsets in snapshot.offsets.items()}
        found += [f"audit: {line}" for line in judge(snapshot, bounds, settings.topics).problems]
    return list(dict.fromkeys(found))
