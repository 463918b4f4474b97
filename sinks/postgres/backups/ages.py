"""The ages of backups, which workers show and the doctor judges."""

from typing import NamedTuple

from sinks.postgres.connection import fetch
from sinks.postgres.statements import sql


class BackupAges(NamedTuple):
    """Times of backups in seconds since the epoch, and the longest recent restore in seconds; None if there is none.

    Backups that are gone from the store do not count. If all are gone, `newest` is the time of the oldest backup that was
    ever made, and so is `verified` if no backup that is there is verified.
    """

    newest: float | None
    verified: float | None
    oldest: float | None
    restore_seconds: float | None


async def backup_ages(dsn: str) -> BackupAges:
    """Return the times of backups; raises SinkUnavailable."""
    (row,) = await fetch(dsn, "doctor", sql("backlog_backups"))
    return BackupAges(*row.values())
