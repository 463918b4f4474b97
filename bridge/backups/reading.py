"""The restore of a backup into an empty database, and the check that nothing is missing there."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial

from bridge.backups.objects import check_dump, keys_of, read_dump
from bridge.backups.programs import find_program
from schemas.config.production import refusals_of_another_database
from schemas.config.settings import Settings
from schemas.documents.backup_manifest import BackupManifest
from schemas.errors import BridgeError, Damaged, PreconditionFailed, StartRefused
from sinks.postgres.backups.programs import ProgramFailed, restore
from sinks.postgres.backups.target import (
    Target,
    empty_again,
    functions_of_owner,
    in_schema,
    read_restored,
    restorable,
    schema_for,
)
from sinks.store.frames import FrameKeys
from sinks.store.port import Store
from streams.rules.backups import count_problems


def check_encrypted(settings: Settings, name: str, url: str) -> None:
    """Raise StartRefused if production would send the backup's rows to the database `url` without TLS."""
    if lines := refusals_of_another_database(settings, name, url):
        raise StartRefused(lines)


async def examined_target(manifest: BackupManifest, dsn: str, *, privileges: bool) -> Target:
    """Return the database to restore into; raises PreconditionFailed if the backup can't be restored into it."""
    target = await restorable(dsn, manifest.roles if privileges else ())
    if target.major < manifest.postgres_major:
        raise PreconditionFailed(
            f"the backup is of Postgres {manifest.postgres_version}, and the server of database {target.database} is "
            f"{target.version}: restore it on Postgres {manifest.postgres_major} or newer"
        )
    return target


async def restore_backup(
    settings: Settings, store: Store, manifest: BackupManifest, dsn: str, *, privileges: bool
) -> float:
    """Restore the backup into the empty database `dsn`, and return how many seconds that took.

    The key and the dump's size are checked first. The dump's digest is checked while it is read, before the restore is
    committed: after an error the database is empty again. Raises Damaged, PreconditionFailed, or InvalidInput for a key.
    """
    keys = keys_of(settings, manifest)
    await check_dump(store, manifest)
    program = find_program(
        settings, "pg_restore", manifest.pg_dump_major, f"the backup was made by pg_dump {manifest.pg_dump_version}"
    )
    started = time.monotonic()
    try:
        async with schema_for(dsn, manifest.schema_name), nullcontext() if privileges else functions_of_owner(dsn):
            pieces = partial(read_dump, store, manifest, keys)
            await restore(program, dsn, pieces, schema=manifest.schema_name, privileges=privileges)
    except Damaged as error:
        raise Damaged(f"nothing was restored: {error}; {await empty_again(dsn)}") from error
    except BridgeError as error:
        if isinstance(error, ProgramFailed):
            await _find_damage(store, manifest, keys, dsn)
        raise PreconditionFailed(f"nothing was restored: {error}; {await empty_again(dsn)}") from error
    return time.monotonic() - started


async def _find_damage(store: Store, manifest: BackupManifest, keys: FrameKeys | None, dsn: str) -> None:
    """Raise Damaged if the dump is the reason why pg_restore has failed. Only the end of the dump shows that."""
    try:
        async for _ in read_dump(store, manifest, keys):
            pass
    except Damaged as error:
        raise Damaged(f"nothing was restored: {error}; {await empty_again(dsn)}") from error


async def differences(manifest: BackupManifest, dsn: str) -> list[str]:
    """Return what is not in the restored database as in the backup: rows of tables, definitions, migrations."""
    found = await read_restored(in_schema(dsn, manifest.schema_name))

    def problems() -> Iterator[str]:
        yield from count_problems(manifest.tables, found.tables)
        if found.migrations != manifest.migrations:
            yield f"{len(found.migrations)} migrations are applied, the backup has {len(manifest.migrations)}"
        if found.catalogue_sha256 != manifest.catalogue_sha256:
            yield "the definitions of tables, views or functions are not those of the backup"

    return list(problems())
