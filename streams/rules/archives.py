"""The rules of archives: which parts a new one replaces, and what makes a part fit to remove its rows by; pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from schemas.documents.archive_manifest import ArchivedPartition, ArchiveManifest, ArchiveVerification
from schemas.pipeline.archive import PartitionSums

VERIFIED_FOR: Final = timedelta(days=7)
"""For how long a verification counts: rows are removed only if their archive was read back within this time."""


def nothing_new(stored: Iterable[PartitionSums], parts: Iterable[ArchiveManifest]) -> str | None:
    """Return the id of the part that has exactly the stored rows; None if none has."""
    wanted = _digests(stored)
    return next((one.archive_id for one in parts if _digests(one.partitions) == wanted), None)


def _digests(partitions: Iterable[PartitionSums | ArchivedPartition]) -> dict[tuple[str, int], tuple[int, str]]:
    return {(one.topic, one.partition): (one.rows, one.sha256) for one in partitions}


def superseded(partitions: Iterable[ArchivedPartition], parts: Iterable[ArchiveManifest]) -> list[str]:
    """Return the ids of parts whose rows the new part has as well.

    `parts` are those whose rows are stored, by the closing entries. A part with more rows of a raw partition, or with
    rows beyond the new part's offsets, is kept: the database lacks some of its rows, such as after a restore of a
    backup.
    """
    new = {(one.topic, one.partition): one for one in partitions}
    return [one.archive_id for one in parts if all(_within(old, new) for old in one.partitions)]


def _within(old: ArchivedPartition, new: dict[tuple[str, int], ArchivedPartition]) -> bool:
    found = new.get((old.topic, old.partition))
    return (
        found is not None
        and found.rows >= old.rows
        and found.first_offset <= old.first_offset
        and found.last_offset >= old.last_offset
    )


def verification_problem(
    manifest: ArchiveManifest, check: ArchiveVerification | None, objects: Sequence[tuple[str, int]], now: datetime
) -> str | None:
    """Return why the rows of this part must not be removed; None if they may.

    `objects` are the names, from the manifest's directory on, and sizes of the part's objects in the store.
    """
    named = f"{manifest.month} {manifest.archive_id}"
    again = f"run `bridge archive verify {manifest.month}`"
    if check is None:
        return f"archive {named} is not verified: {again}"
    if check.problems:
        return f"archive {named} is damaged: {check.problems[0]}"
    if now - check.checked_at > VERIFIED_FOR:
        days = VERIFIED_FOR.days
        return f"archive {named} was verified on {check.checked_at:%Y-%m-%d}, more than {days} days ago: {again}"
    sizes = dict(objects)
    wrong = [one.name for one in manifest.files if sizes.get(one.name) != one.bytes]
    return f"archive {named} is damaged: {wrong[0]} is missing or has another size: {again}" if wrong else None
