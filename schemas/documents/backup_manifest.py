"""The documents beside a backup in the store: the manifest that makes it a backup, and the result of a verification."""

import json
from datetime import datetime
from typing import Final

from pydantic import BaseModel, Field

from schemas.documents.manifest import parsed

FORMAT: Final = 1
"""The format of backups that this release writes, and the only one that it reads."""


class StoredPosition(BaseModel):
    """What a consumer group had read of a log, as in `stream_offset` of the backup."""

    group_id: str
    topic: str
    partition: int
    cluster_id: str | None
    base_offset: int
    next_offset: int


class Encryption(BaseModel):
    """How a backup is encrypted. `key_id` recognises the key and does not reveal it."""

    cipher: str
    salt: str
    key_id: str


class BackupManifest(BaseModel):
    """The description of a backup, which is written last. Without a manifest there is no backup.

    - `taken_at`: the time of the snapshot that the dump and all counts show.
    - `stored_bytes`, `sha256`: of the dump as it is stored.
    - `tables`: the number of rows of each table, also of those that are partitions of another.
    - `catalogue_sha256`: a digest of the definitions of all tables, views and functions.
    - `roles`: accounts that have privileges in the dump.
    - `mac`: authenticates an encrypted backup's manifest, by a key that is derived from the backup's.
    """

    format: int
    backup_id: str
    release: str
    migrations: list[str]
    database: str
    schema_name: str
    postgres_version: str
    postgres_major: int
    pg_dump_version: str
    pg_dump_major: int
    compression: str
    started_at: datetime
    taken_at: datetime
    ended_at: datetime
    stored_bytes: int
    sha256: str
    encryption: Encryption | None = None
    tables: dict[str, int]
    catalogue_sha256: str
    roles: list[str]
    positions: list[StoredPosition]
    mac: str | None = None

    @property
    def rows(self) -> int:
        """The number of rows of all tables together."""
        return sum(self.tables.values())

    def signed_bytes(self) -> bytes:
        """Return the manifest without its code, in the form that the code authenticates."""
        return json.dumps(self.model_dump(mode="json", exclude={"mac"}), sort_keys=True).encode()


class BackupVerification(BaseModel):
    """The result of restoring a backup into a database that is dropped afterwards. It is verified without `problems`.

    `restore_seconds` is how long the restore itself took.
    """

    backup_id: str
    checked_at: datetime
    release: str
    restore_seconds: float
    seconds: float
    problems: list[str] = Field(default_factory=list)


def parse_manifest(name: str, text: bytes) -> BackupManifest:
    """Return the manifest in `text`, the object `name`. Raises Damaged, or InvalidInput for an unknown format."""
    return parsed(BackupManifest, "backup", FORMAT, name, text)
