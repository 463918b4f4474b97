"""The making of a part of an archive: a file for each hour, of one snapshot, and the manifest last."""

from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version

from bridge.archives.objects import Archive, Part, directory, file_name, manifest_name, read_archive
from schemas.config.settings import Settings
from schemas.documents.archive_manifest import (
    FORMAT,
    ArchivedColumn,
    ArchivedFile,
    ArchivedPartition,
    ArchiveManifest,
)
from schemas.errors import InvalidInput, StoreFailed
from sinks.archives.digests import added_up
from sinks.archives.parquet import demand_pyarrow, parquet_file
from sinks.postgres.archives.entries import removed_parts
from sinks.postgres.archives.month import Month
from sinks.postgres.archives.rows import MonthRows, month_rows
from sinks.store.pieces import Digested, write_text
from sinks.store.port import Store
from streams.rules.archives import nothing_new, superseded


async def write_part(settings: Settings, store: Store, month: Month, run_id: str) -> ArchiveManifest:
    """Archive the rows of a month that are stored now, and return the manifest of the new part.

    If that fails, the store has no manifest of it, and so no part. Raises InvalidInput for a month that has not ended,
    has no rows, or whose rows are archived as they are, and PreconditionFailed.
    """
    started_at = datetime.now(UTC)
    if month.end > started_at:
        raise InvalidInput(f"{month} has not ended: archive it from {month.end:%Y-%m-%d} on")
    demand_pyarrow()
    found = await read_archive(store, month)
    if found.damaged:
        raise InvalidInput("; ".join(found.damaged))
    await _remove_left(store, found)
    async with month_rows(settings.dsn, month) as rows:
        stored = added_up(rows.hours)
        if not stored:
            raise InvalidInput(f"{month}: no event of this month is stored")
        # By name, because a part whose manifest was changed since then is not removed from the store.
        removed = {one.partition(" ")[0] for one in await removed_parts(rows.conn, directory(month))}
        kept = [one for one in found.parts if one.name not in removed]
        if (same := nothing_new(stored, [one.manifest for one in kept])) is not None:
            raise InvalidInput(f"{month} is archived as it is stored, as {same}: run `bridge archive verify {month}`")
        archive_id = f"{rows.taken_at:%Y%m%dT%H%M%SZ}-{run_id.rpartition('-')[2]}"
        files = await _write_files(store, rows, archive_id)
        migrations, taken_at, columns = rows.migrations, rows.taken_at, rows.columns
    partitions = [ArchivedPartition(**one._asdict()) for one in stored]
    old = superseded(partitions, [one.manifest for one in kept])
    manifest = ArchiveManifest(
        format=FORMAT,
        archive_id=archive_id,
        month=str(month),
        release=version("ghostlink-bridge"),
        migrations=migrations,
        started_at=started_at,
        taken_at=taken_at,
        ended_at=datetime.now(UTC),
        columns=[ArchivedColumn(**one._asdict()) for one in columns],
        files=files,
        partitions=partitions,
        supersedes=old,
    )
    manifest.checksum = manifest.computed_checksum()
    await write_text(store, manifest_name(month, archive_id), manifest.model_dump_json(indent=2))
    for part in kept:
        if part.manifest.archive_id in old:
            await _remove_part(store, part)
    return manifest


async def _write_files(store: Store, rows: MonthRows, archive_id: str) -> list[ArchivedFile]:
    """Write a file for each hour that has rows; after an error the files are removed."""
    counts: dict[datetime, int] = {}
    for one in rows.hours:
        counts[one.hour] = counts.get(one.hour, 0) + one.rows
    files: list[ArchivedFile] = []
    try:
        for hour in sorted(counts):
            content = Digested(parquet_file(rows.columns, rows.reader.batches(hour), f"{hour:%Y-%m-%d %H}:00"))
            # Named before it is written, so that an interrupted write is removed as well.
            files.append(ArchivedFile(name=file_name(hour), hour=hour, rows=counts[hour], bytes=0, sha256=""))
            await store.put(f"{directory(rows.month, archive_id)}/{file_name(hour)}", content.pieces())
            files[-1] = files[-1].model_copy(update={"bytes": content.bytes, "sha256": content.digest.hexdigest()})
    except BaseException:
        with suppress(StoreFailed):
            for file in files:
                await store.delete(f"{directory(rows.month, archive_id)}/{file.name}")
        raise
    return files


async def _remove_part(store: Store, part: Part) -> None:
    # Without its manifest it is no part, so one that is removed in part is never restored.
    await store.delete(part.name)
    for one in part.objects:
        await store.delete(one.name)


async def _remove_left(store: Store, found: Archive) -> None:
    """Remove the files of parts that were never complete, because a reader of all files would count their rows twice."""
    for one in found.unfinished:
        await store.delete(one.name)
