"""The objects of an archive in the store: Parquet files, the manifest that is written last, and results of verifications.

A month's archive has one or more parts. A later part has the events that came after the part before it was removed from
the database.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple

from pydantic import ValidationError

from schemas.documents.archive_manifest import ArchiveManifest, ArchiveVerification, parse_archive_manifest
from schemas.errors import Damaged, InvalidInput
from schemas.pipeline.archive import ArchiveColumn, ArchivedPart, PartitionSums
from sinks.postgres.archives.month import Month
from sinks.store.pieces import read_small, write_text
from sinks.store.port import Store, StoredObject

PREFIX: Final = "archive"
# Programs that read a directory of Parquet files leave out names that begin so.
_MANIFEST: Final = "_manifest.json"
_CHECK: Final = "_verified"


class Part(NamedTuple):
    """A part of an archive in the store. `check` is the newest verification of this manifest; None without one.

    `objects` are all objects of the part.
    """

    manifest: ArchiveManifest
    manifest_sha256: str
    check: ArchiveVerification | None
    objects: list[StoredObject]

    @property
    def name(self) -> str:
        """The name of the part's manifest."""
        return manifest_name(self.manifest.month, self.manifest.archive_id)

    @property
    def archived_as(self) -> str:
        """The text by which closing entries name the part, so that its manifest can't be replaced unnoticed."""
        return f"{self.name} sha256:{self.manifest_sha256}"

    @property
    def verified(self) -> bool:
        """Whether the newest verification has found no problem."""
        return self.check is not None and not self.check.problems


class Archive(NamedTuple):
    """What the store has of archives: parts by time; damaged ones, a line each; files without a manifest."""

    parts: list[Part]
    damaged: list[str]
    unfinished: list[StoredObject]


def directory(month: object, archive_id: str | None = None) -> str:
    """Return the prefix of a month's objects, or of one part's."""
    part = "" if archive_id is None else f"/part={archive_id}"
    return f"{PREFIX}/month={month}{part}"


def manifest_name(month: object, archive_id: str) -> str:
    """Return the name of the manifest's object."""
    return f"{directory(month, archive_id)}/{_MANIFEST}"


def file_name(hour: datetime) -> str:
    """Return the name of an hour's file, from the part's directory on. Its directory is a partition in the style of Hive."""
    return f"hour={hour:%Y-%m-%dT%H}/events.parquet"


async def read_archive(store: Store, month: Month | None = None) -> Archive:
    """Return what the store has of a month's archive, or of all months; raises StoreFailed."""
    by_part: dict[str, list[StoredObject]] = {}
    for one in await store.objects(PREFIX if month is None else directory(month)):
        words = one.name.split("/")
        if len(words) > 3:
            by_part.setdefault("/".join(words[:3]), []).append(one)
    parts: list[Part] = []
    damaged: list[str] = []
    unfinished: list[StoredObject] = []
    for place, objects in sorted(by_part.items()):
        if f"{place}/{_MANIFEST}" not in {one.name for one in objects}:
            unfinished += objects
            continue
        try:
            parts.append(await _read_part(store, place, objects))
        except InvalidInput as error:
            damaged.append(str(error))
    return Archive(sorted(parts, key=lambda one: (one.manifest.month, one.manifest.taken_at)), damaged, unfinished)


async def _read_part(store: Store, place: str, objects: list[StoredObject]) -> Part:
    name = f"{place}/{_MANIFEST}"
    text = await read_small(store, name)
    manifest = parse_archive_manifest(name, text)
    if manifest_name(manifest.month, manifest.archive_id) != name:
        raise Damaged(f"{name}: the manifest is of another archive, {manifest.month} {manifest.archive_id}")
    sha256 = hashlib.sha256(text).hexdigest()
    return Part(manifest, sha256, await _newest_check(store, place, objects, sha256), objects)


async def _newest_check(
    store: Store, place: str, objects: Iterable[StoredObject], manifest_sha256: str
) -> ArchiveVerification | None:
    names = sorted(one.name for one in objects if one.name.startswith(f"{place}/{_CHECK}-"))
    if not names:
        return None
    try:
        check = ArchiveVerification.model_validate_json(await read_small(store, names[-1]))
    except ValidationError:
        raise Damaged(f"{names[-1]}: the result of the verification is damaged; verify the archive again") from None
    return check if check.manifest_sha256 == manifest_sha256 else None


async def write_archive_check(store: Store, check: ArchiveVerification) -> None:
    """Write the result of a verification beside the manifest."""
    name = f"{directory(check.month, check.archive_id)}/{_CHECK}-{check.checked_at:%Y%m%dT%H%M%S%fZ}.json"
    await write_text(store, name, check.model_dump_json(indent=2))


def columns_of(manifest: ArchiveManifest) -> tuple[ArchiveColumn, ...]:
    """Return the columns of the files."""
    return tuple(ArchiveColumn(one.name, one.type, one.nullable) for one in manifest.columns)


def sums_of(manifest: ArchiveManifest) -> tuple[PartitionSums, ...]:
    """Return the sums of each raw partition, by the manifest."""
    return tuple(PartitionSums(**one.model_dump()) for one in manifest.partitions)


def archived_part(part: Part) -> ArchivedPart:
    """Return the part as the stored rows are compared with it."""
    return ArchivedPart(part.archived_as, columns_of(part.manifest), sums_of(part.manifest))
