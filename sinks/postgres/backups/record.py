"""The table of backups: what the doctor and the metrics know of them."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from schemas.documents.backup_manifest import BackupManifest, BackupVerification
from sinks.postgres.connection import Connection, connection, fetch
from sinks.postgres.statements import sql

_LONGEST_PROBLEM = 1000


class BackupRecord(NamedTuple):
    """A backup that is still there, as the database knows it. `kind` is `dump` or `external`."""

    backup_id: str
    kind: str
    taken_at: datetime
    ended_at: datetime
    stored_at: str
    stored_bytes: int | None
    row_count: int | None
    encrypted: bool | None
    checked_at: datetime | None
    problem: str | None
    restore_seconds: float | None
    note: str | None


async def note_backups(
    dsn: str, stored_at: str, manifests: Collection[BackupManifest], checks: Collection[BackupVerification]
) -> None:
    """Bring the table to the state of the store `stored_at`, which has exactly these backups; raises SinkUnavailable."""
    async with connection(dsn, "backup") as conn, conn.transaction():
        for one in manifests:
            await _note_manifest(conn, stored_at, one)
        for check in checks:
            problem = "; ".join(check.problems)[:_LONGEST_PROBLEM] or None
            await conn.execute(sql("backup_checked"), check.backup_id, check.checked_at, problem, check.restore_seconds)
        await conn.execute(sql("backup_removed"), [one.backup_id for one in manifests], stored_at)


async def _note_manifest(conn: Connection, stored_at: str, one: BackupManifest) -> None:
    encrypted = one.encryption is not None
    times = one.taken_at, one.ended_at
    await conn.execute(
        sql("backup_note"), one.backup_id, "dump", *times, stored_at, one.stored_bytes, one.rows, encrypted, None
    )


async def note_external(
    dsn: str,
    backup_id: str,
    taken_at: datetime | None,
    now: datetime,
    stored_at: str,
    note: str | None,
    *,
    restore_seconds: float | None = None,
) -> None:
    """Note a backup that another program has made; with `restore_seconds`, also that a restore of it was tried.

    `taken_at` is None for the time that is known of this backup, or `now` for a new one.
    """
    async with connection(dsn, "backup") as conn, conn.transaction():
        await conn.execute(sql("backup_note"), backup_id, "external", taken_at, now, stored_at, None, None, None, note)
        if restore_seconds is not None:
            await conn.execute(sql("backup_checked"), backup_id, now, None, restore_seconds)


async def list_backups(dsn: str) -> list[BackupRecord]:
    """Return the backups that are still there, the newest first; raises SinkUnavailable."""
    return [BackupRecord(*row.values()) for row in await fetch(dsn, "backup", sql("backup_list"))]
