"""The rules for backups: which are kept, and which counts differ."""

from datetime import UTC, datetime, timedelta

import pytest

from streams.rules.backups import KeptBackup, count_problems, expired

NOW = datetime(2026, 11, 30, tzinfo=UTC)
KEEP = timedelta(days=30)


def backup(days: float, *, verified: bool = False) -> KeptBackup:
    return KeptBackup(f"b{days:g}", NOW - timedelta(days=days), verified)


@pytest.mark.parametrize(
    ("backups", "removed"),
    [
        ([], []),
        ([backup(40)], []),
        ([backup(1), backup(30), backup(30.1), backup(40)], ["b40", "b30.1"]),
        ([backup(1), backup(40, verified=True), backup(50, verified=True), backup(60)], ["b60", "b50"]),
        ([backup(1, verified=True), backup(40, verified=True)], ["b40"]),
        ([backup(40), backup(50, verified=True), backup(60)], ["b60"]),
    ],
)
def test_old_backups_expire_but_the_newest_and_the_newest_verified_stay(
    backups: list[KeptBackup], removed: list[str]
) -> None:
    """The oldest is first, in any order of the list."""
    assert expired(backups, NOW, KEEP) == removed
    assert expired(backups[::-1], NOW, KEEP) == removed


def test_each_table_is_compared_in_both_directions() -> None:
    """A table that is missing, additional, or has other rows is a problem."""
    problems = list(count_problems({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 3, "d": 0}))

    assert problems == [
        "table b has 3 rows, the backup has 2",
        "table c is missing, the backup has 3 rows of it",
        "table d is not in the backup",
    ]
