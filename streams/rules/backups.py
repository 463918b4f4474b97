"""The rules for backups: what makes a restored database equal to its backup, and which backups are no longer kept; pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple


class KeptBackup(NamedTuple):
    """What the rule of keeping needs to know of a backup."""

    backup_id: str
    taken_at: datetime
    verified: bool


def expired(backups: Sequence[KeptBackup], now: datetime, keep: timedelta) -> list[str]:
    """Return the ids of backups that are older than `keep`, the oldest first.

    The newest backup and the newest verified one are always kept.
    """
    by_age = sorted(backups, key=lambda one: (one.taken_at, one.backup_id))
    verified = [one for one in by_age if one.verified]
    always = {one.backup_id for one in (*by_age[-1:], *verified[-1:])}
    return [one.backup_id for one in by_age if now - one.taken_at > keep and one.backup_id not in always]


def count_problems(expected: Mapping[str, int], found: Mapping[str, int]) -> Iterable[str]:
    """Yield the tables whose number of rows is not the one in the manifest."""
    for table in sorted({*expected, *found}):
        if table not in found:
            yield f"table {table} is missing, the backup has {expected[table]} rows of it"
        elif table not in expected:
            yield f"table {table} is not in the backup"
        elif expected[table] != found[table]:
            yield f"table {table} has {found[table]} rows, the backup has {expected[table]}"
