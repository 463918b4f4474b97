"""The verification of a part: every file is read back from the store, and its rows are digested again."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version

from bridge.archives.objects import Part, columns_of, directory, sums_of
from bridge.archives.reading import opened_file
from schemas.documents.archive_manifest import ArchivedFile, ArchiveVerification
from schemas.errors import Damaged
from schemas.pipeline.archive import HourSums
from sinks.archives.digests import Summing, added_up, differences
from sinks.cooperative import Turn
from sinks.store.port import Store

_MOST_PROBLEMS = 20


async def verify_part(
    store: Store, part: Part, removed: Mapping[str, Mapping[tuple[str, int], int]]
) -> ArchiveVerification:
    """Read a part back, and return what was found. `removed` are the archives by which closing entries account for rows.

    Damage is a result with a problem. Raises StoreFailed.
    """
    started, manifest = time.monotonic(), part.manifest
    problems = [*_entry_problems(part, removed), *_unnamed(part)]
    hours: list[HourSums] = []
    rows = 0
    for file in manifest.files:
        try:
            summing = await _summed(store, part, file)
        except Damaged as error:
            problems.append(str(error))
        else:
            found = summing.sums()
            hours += found
            rows += sum(one.rows for one in found)
            problems += _row_problems(part, file, summing, sum(one.rows for one in found))
    if not problems:
        problems += differences(sums_of(manifest), added_up(hours), "the archive")
    return ArchiveVerification(
        archive_id=manifest.archive_id,
        month=manifest.month,
        checked_at=datetime.now(UTC),
        release=version("ghostlink-bridge"),
        manifest_sha256=part.manifest_sha256,
        rows=rows,
        seconds=round(time.monotonic() - started, 3),
        problems=problems[:_MOST_PROBLEMS],
    )


async def _summed(store: Store, part: Part, file: ArchivedFile) -> Summing:
    columns, turn = columns_of(part.manifest), Turn()
    summing = Summing(file.hour, columns)
    async with opened_file(store, part.manifest, file) as batches:
        for batch in batches:
            for row in batch:
                summing.add(row)
            await turn.let_others()
    return summing


def _row_problems(part: Part, file: ArchivedFile, summing: Summing, rows: int) -> list[str]:
    name = f"{directory(part.manifest.month, part.manifest.archive_id)}/{file.name}"
    problems = []
    if rows != file.rows:
        problems.append(f"{name}: the file has {rows} rows, the manifest says {file.rows}")
    if summing.misplaced:
        problems.append(f"{name}: {summing.misplaced} rows are of another hour")
    return problems


def _entry_problems(part: Part, removed: Mapping[str, Mapping[tuple[str, int], int]]) -> list[str]:
    """Return what closing entries say otherwise than the manifest."""
    problems = []
    for archived_as, events in removed.items():
        if archived_as.partition(" ")[0] != part.name:
            continue
        if archived_as != part.archived_as:
            problems.append(f"{part.name}: the manifest was changed: closing entries have another SHA-256 of it")
        elif events != {(one.topic, one.partition): one.rows for one in part.manifest.partitions}:
            problems.append(f"{part.name}: closing entries account for other numbers of events than the manifest has")
    return problems


def _unnamed(part: Part) -> list[str]:
    """Return the Parquet files that the manifest does not name: whoever reads all files would count their rows."""
    base = directory(part.manifest.month, part.manifest.archive_id)
    named = {f"{base}/{one.name}" for one in part.manifest.files}
    return [
        f"{one.name}: the manifest does not name this file"
        for one in part.objects
        if one.name.endswith(".parquet") and one.name not in named
    ]
