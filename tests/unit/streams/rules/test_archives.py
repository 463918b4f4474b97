"""The rules of archives: which part is good enough to remove rows by, and which one a new part replaces."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.documents.archive_manifest import ArchivedFile, ArchivedPartition, ArchiveManifest, ArchiveVerification
from schemas.pipeline.archive import PartitionSums
from streams.rules.archives import nothing_new, superseded, verification_problem

NOW = datetime(2026, 8, 2, tzinfo=UTC)
OBJECTS = [("hour=2026-05-01T00/events.parquet", 100)]


def partition(number: int, rows: int, first: int = 0, last: int = 9, sha256: str = "aa") -> ArchivedPartition:
    return ArchivedPartition(
        topic="t.raw", partition=number, rows=rows, at_once=rows, first_offset=first, last_offset=last, sha256=sha256, bytes=0
    )  # fmt: skip


def manifest(archive_id: str, *partitions: ArchivedPartition) -> ArchiveManifest:
    file = ArchivedFile(name=OBJECTS[0][0], hour=NOW, rows=1, bytes=100, sha256="")
    return ArchiveManifest(
        format=1, archive_id=archive_id, month="2026-05", release="", migrations=[], started_at=NOW, taken_at=NOW, ended_at=NOW,
        columns=[], files=[file], partitions=list(partitions),
    )  # fmt: skip


def check(age: timedelta, *problems: str) -> ArchiveVerification:
    return ArchiveVerification(
        archive_id="a", month="2026-05", checked_at=NOW - age, release="", manifest_sha256="", rows=1, seconds=1, problems=list(problems)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "objects", "said"),
    [
        (None, OBJECTS, "is not verified"),
        (check(timedelta(1), "a.parquet: the file is missing"), OBJECTS, "is damaged: a.parquet"),
        (check(timedelta(days=7, seconds=1)), OBJECTS, "more than 7 days ago: run `bridge archive verify 2026-05`"),
        (check(timedelta(1)), [], "is missing or has another size"),
        (check(timedelta(1)), [(OBJECTS[0][0], 99)], "is missing or has another size"),
        (check(timedelta(days=7)), OBJECTS, None),
    ],
    ids=["not verified", "damaged", "too long ago", "file gone", "file cut", "just in time"],
)
def test_rows_are_removed_only_by_a_whole_part_that_was_read_of_late(
    found: ArchiveVerification | None, objects: list[tuple[str, int]], said: str | None
) -> None:
    problem = verification_problem(manifest("a"), found, objects, NOW)

    assert problem is None if said is None else said in (problem or "")


def test_the_same_rows_are_nothing_new() -> None:
    """Number and digest of each raw partition count."""
    stored = [PartitionSums("t.raw", 0, 5, 5, 0, 9, "aa", 123)]

    assert nothing_new(stored, [manifest("x", partition(0, 5, sha256="bb")), manifest("y", partition(0, 5))]) == "y"
    assert (
        nothing_new(stored, [manifest("x", partition(0, 4)), manifest("z", partition(0, 5), partition(1, 1))]) is None
    )


@pytest.mark.parametrize(
    ("old", "replaced"),
    [
        (partition(0, 5), True),
        (partition(0, 6), False),
        (partition(0, 5, last=10), False),
        (partition(1, 1), False),
        (partition(0, 4, first=2, last=8), True),
    ],
    ids=["as many rows", "more rows", "rows beyond", "another partition", "fewer rows"],
)
def test_a_part_with_rows_that_the_new_one_lacks_is_kept(old: ArchivedPartition, replaced: bool) -> None:
    """A database that was restored from a backup may lack them."""
    assert superseded([partition(0, 5)], [manifest("old", old)]) == (["old"] if replaced else [])
