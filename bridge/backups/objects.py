"""The objects of a backup in the store: the dump, the manifest that is written last, and results of verifications."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final, NamedTuple

from pydantic import ValidationError

from schemas.config.settings import Settings
from schemas.documents.backup_manifest import BackupManifest, BackupVerification, parse_manifest
from schemas.errors import Damaged, InvalidInput, NoSuchThing
from sinks.postgres.id_prefixes import only
from sinks.store.frames import FrameKeys, code_of, decrypted, frame_keys
from sinks.store.pieces import read_small, write_text
from sinks.store.port import Store, StoredObject

PREFIX: Final = "backups"
_MANIFEST: Final = "manifest.json"
_DUMP: Final = "dump"
_CHECK: Final = "verified"


class Backup(NamedTuple):
    """A backup in the store, with the newest result of a verification. `objects` are all of its objects."""

    manifest: BackupManifest
    check: BackupVerification | None
    objects: list[str]

    @property
    def verified(self) -> bool:
        """Whether the newest verification has found no problem."""
        return self.check is not None and not self.check.problems


class Inventory(NamedTuple):
    """What the store has: backups, the newest first; damaged manifests, a line each; dumps without a manifest."""

    backups: list[Backup]
    damaged: list[str]
    unfinished: list[StoredObject]


def dump_name(backup_id: str) -> str:
    """Return the name of the dump's object."""
    return f"{PREFIX}/{backup_id}/{_DUMP}"


def manifest_name(backup_id: str) -> str:
    """Return the name of the manifest's object."""
    return f"{PREFIX}/{backup_id}/{_MANIFEST}"


async def write_check(store: Store, check: BackupVerification) -> None:
    """Write the result of a verification beside the manifest."""
    name = f"{PREFIX}/{check.backup_id}/{_CHECK}-{check.checked_at:%Y%m%dT%H%M%SZ}.json"
    await write_text(store, name, check.model_dump_json(indent=2))


async def inventory(store: Store) -> Inventory:
    """Return what the store has of backups; raises StoreFailed."""
    by_backup: dict[str, dict[str, StoredObject]] = {}
    for one in await store.objects(PREFIX):
        _, backup_id, name = one.name.split("/", 2) if one.name.count("/") > 1 else ("", "", "")
        if name:
            by_backup.setdefault(backup_id, {})[name] = one
    backups: list[Backup] = []
    damaged: list[str] = []
    unfinished: list[StoredObject] = []
    for backup_id, objects in sorted(by_backup.items()):
        if _MANIFEST not in objects:
            unfinished += objects.values()
            continue
        try:
            manifest = await read_manifest(store, backup_id)
            backups.append(
                Backup(
                    manifest, await _newest_check(store, list(objects.values())), [one.name for one in objects.values()]
                )
            )
        except InvalidInput as error:
            damaged.append(str(error))
    return Inventory(sorted(backups, key=lambda one: one.manifest.taken_at, reverse=True), damaged, unfinished)


async def find_backup(store: Store, asked: str) -> BackupManifest:
    """Return the manifest of the backup with this id, of the only one whose id begins so, or of the newest for `newest`.

    Raises NoSuchThing or InvalidInput.
    """
    if asked != "newest" and await store.head(manifest_name(asked)) is not None:
        return await read_manifest(store, asked)
    found = sorted(
        {one.name.split("/")[1] for one in await store.objects(PREFIX) if one.name.endswith(f"/{_MANIFEST}")}
    )
    if asked == "newest" and found:
        # Ids begin with the time. The manifests of older backups are not read: they may be damaged, or of another release.
        return await read_manifest(store, found[-1])
    begun = [one for one in found if one.startswith(asked)]
    if begun:
        return await read_manifest(store, only("backup", asked, begun, "bridge backup list"))
    raise NoSuchThing(f"{store.address} has no backup {asked}; `bridge backup list` shows those that it has")


async def read_manifest(store: Store, backup_id: str) -> BackupManifest:
    """Return a backup's manifest; raises NoSuchThing, Damaged, or InvalidInput for an unknown format."""
    name = manifest_name(backup_id)
    manifest = parse_manifest(name, await read_small(store, name))
    if manifest.backup_id != backup_id:
        raise Damaged(f"{name}: the manifest is of another backup, {manifest.backup_id}")
    return manifest


def keys_of(settings: Settings, manifest: BackupManifest) -> FrameKeys | None:
    """Return the keys of a backup, None if it is not encrypted.

    Raises InvalidInput without a key and with a wrong key, and Damaged for a manifest that was changed.
    """
    if manifest.encryption is None:
        return None
    if settings.backup_key is None:
        raise InvalidInput(
            f"backup {manifest.backup_id} is encrypted, and BRIDGE_BACKUP_KEY is not set: set it to its key"
        )
    try:
        salt = bytes.fromhex(manifest.encryption.salt)
    except ValueError:
        raise Damaged(f"{manifest_name(manifest.backup_id)}: the manifest is damaged: its salt") from None
    keys = frame_keys(settings.backup_key.get_secret_value(), manifest.backup_id, salt)
    if keys.key_id != manifest.encryption.key_id:
        raise InvalidInput(
            f"backup {manifest.backup_id} is encrypted with another key than BRIDGE_BACKUP_KEY: set the key it was made with"
        )
    if not hmac.compare_digest(code_of(keys, manifest.signed_bytes()), manifest.mac or ""):
        raise Damaged(
            f"{manifest_name(manifest.backup_id)}: the manifest was changed after it was written: its code does not match"
        )
    return keys


async def read_dump(store: Store, manifest: BackupManifest, keys: FrameKeys | None) -> AsyncIterator[bytes]:
    """Yield a backup's dump, decrypted.

    The iteration ends without an error only if the stored bytes are those that were written. Raises Damaged otherwise,
    and StoreFailed.
    """
    name = dump_name(manifest.backup_id)
    digest, size = hashlib.sha256(), 0

    async def stored() -> AsyncIterator[bytes]:
        nonlocal size
        async for piece in store.get(name):
            digest.update(piece)
            size += len(piece)
            yield piece

    with _named(name):
        async for piece in stored() if keys is None else decrypted(stored(), keys):
            yield piece
    if size != manifest.stored_bytes:
        raise Damaged(f"{name}: the dump is damaged: it has {size} bytes, the manifest says {manifest.stored_bytes}")
    if digest.hexdigest() != manifest.sha256:
        raise Damaged(f"{name}: the dump is damaged: its SHA-256 is not the one in the manifest")


async def check_dump(store: Store, manifest: BackupManifest) -> None:
    """Check, without reading the dump, that the store has it in its full size; raises Damaged."""
    name = dump_name(manifest.backup_id)
    found = await store.head(name)
    if found is None:
        raise Damaged(f"{name}: the dump is missing, so that the backup can't be restored")
    if found.bytes != manifest.stored_bytes:
        raise Damaged(
            f"{name}: the dump is damaged: it has {found.bytes} bytes, the manifest says {manifest.stored_bytes}"
        )


async def _newest_check(store: Store, objects: list[StoredObject]) -> BackupVerification | None:
    names = sorted(one.name for one in objects if one.name.rpartition("/")[2].startswith(f"{_CHECK}-"))
    if not names:
        return None
    try:
        return BackupVerification.model_validate_json(await read_small(store, names[-1]))
    except ValidationError:
        raise Damaged(f"{names[-1]}: the result of the verification is damaged; verify the backup again") from None


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except Damaged as error:
        raise Damaged(f"{name}: {error}") from None


def signed(manifest: BackupManifest, keys: FrameKeys | None) -> str:
    """Return the manifest's text; with keys it has the code that authenticates it."""
    code = None if keys is None else code_of(keys, manifest.signed_bytes())
    return json.dumps(manifest.model_copy(update={"mac": code}).model_dump(mode="json"), indent=2)


def new_backup_id(taken_at: datetime, run_id: str) -> str:
    """Return the id of a new backup: its time, and the end of the run's id."""
    return f"{taken_at:%Y%m%dT%H%M%SZ}-{run_id.rpartition('-')[2]}"
