"""The documents beside a part of an archive in the store: the manifest that makes it one, and results of verifications."""

import hashlib
import json
from datetime import datetime
from typing import Final

from pydantic import BaseModel, Field

from schemas.documents.manifest import parsed
from schemas.errors import Damaged

FORMAT: Final = 1
"""The format of archives that this release writes, and the only one that it reads."""


class ArchivedColumn(BaseModel):
    """A column of the files, with its type in Postgres."""

    name: str
    type: str
    nullable: bool


class ArchivedFile(BaseModel):
    """A Parquet file with the events of one hour. `name` begins at the manifest's directory."""

    name: str
    hour: datetime
    rows: int
    bytes: int
    sha256: str


class ArchivedPartition(BaseModel):
    """The events of one raw partition. `sha256` is a digest of their rows, which Postgres computes too."""

    topic: str
    partition: int
    rows: int
    at_once: int
    first_offset: int
    last_offset: int
    sha256: str
    bytes: int


class ArchiveManifest(BaseModel):
    """The description of a part of a month's archive, which is written last. Without a manifest there is no part.

    - `month`: such as 2026-05, of `received_at` in UTC.
    - `taken_at`: the time of the snapshot that files and digests show.
    - `supersedes`: parts of the month that were removed from the store because this one has their rows.
    - `checksum`: SHA-256 of the rest of the manifest.
    """

    format: int
    archive_id: str
    month: str
    release: str
    migrations: list[str]
    started_at: datetime
    taken_at: datetime
    ended_at: datetime
    columns: list[ArchivedColumn]
    files: list[ArchivedFile]
    partitions: list[ArchivedPartition]
    supersedes: list[str] = Field(default_factory=list)
    checksum: str = ""

    @property
    def rows(self) -> int:
        """The number of rows of all files together."""
        return sum(one.rows for one in self.files)

    @property
    def bytes(self) -> int:
        """The size of all files together."""
        return sum(one.bytes for one in self.files)

    def computed_checksum(self) -> str:
        """Return the checksum that the manifest has to have."""
        text = json.dumps(self.model_dump(mode="json", exclude={"checksum"}), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


class ArchiveVerification(BaseModel):
    """The result of reading a part back from the store. It is verified without `problems`.

    `manifest_sha256` is that of the manifest's object, so that the result counts for no other manifest.
    """

    archive_id: str
    month: str
    checked_at: datetime
    release: str
    manifest_sha256: str
    rows: int
    seconds: float
    problems: list[str] = Field(default_factory=list)


def parse_archive_manifest(name: str, text: bytes) -> ArchiveManifest:
    """Return the manifest in `text`, the object `name`. Raises Damaged, or InvalidInput for an unknown format."""
    manifest = parsed(ArchiveManifest, "archive", FORMAT, name, text)
    if manifest.checksum != manifest.computed_checksum():
        raise Damaged(f"{name}: the manifest was changed: its checksum is not that of its content")
    return manifest
