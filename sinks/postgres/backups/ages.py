"""The ages of backups, which workers show and the doctor judges."""

from typing import NamedTuple

from sinks.postgres.connection import fetch
from sinks.postgres.statements import sql


class BackupAges(NamedTuple):
    """Times of backups in seconds since the epoch, and the longest recent restore in seconds; None if there is none.

    While no backup is verified, `verified` is the time of the oldest backup.
    """

    newest: float | None
    verified: float | None
    oldest: float | None
    restore_seconds: float | None


async def backup_ages(dsn: str) -> BackupAges:
    """Return the times of backups; raises SinkUnavailable."""
    (row,) = await fetch(dsn, "doctor", sql("backlog_backups"))
    return BackupAges(*row.values())
