"""The making of a backup: dump, counts and positions of one snapshot are written to the store, the manifest last."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version

from bridge.backups.objects import dump_name, manifest_name, new_backup_id, signed
from bridge.backups.programs import find_program
from schemas.config.settings import Settings
from schemas.documents.backup_manifest import FORMAT, BackupManifest, Encryption
from schemas.errors import StoreFailed
from sinks.postgres.backups.programs import Program, best_compression, dump
from sinks.postgres.backups.snapshot import ExportedSnapshot, exported_snapshot
from sinks.store.frames import CIPHER, FrameKeys, encrypted, frame_keys
from sinks.store.pieces import Digested, write_text
from sinks.store.port import Store


async def write_backup(settings: Settings, store: Store, run_id: str) -> BackupManifest:
    """Make a backup and return its manifest. If that fails, the store has no manifest of it, and so no backup.

    Raises PreconditionFailed, such as StoreFailed, ProgramFailed, or for a pg_dump that is older than the server.
    """
    started_at = datetime.now(UTC)
    async with exported_snapshot(settings.dsn) as snapshot:
        facts = snapshot.facts
        program = find_program(settings, "pg_dump", facts.major, f"the server is Postgres {facts.version}")
        backup_id = new_backup_id(facts.taken_at, run_id)
        keys = None
        if settings.backup_key is not None:
            keys = frame_keys(settings.backup_key.get_secret_value(), backup_id)
        compression = best_compression(program)
        written, tables = await _write_dump(settings, store, snapshot, program, compression, keys, backup_id)
    manifest = BackupManifest(
        format=FORMAT,
        backup_id=backup_id,
        release=version("ghostlink-bridge"),
        migrations=facts.migrations,
        database=facts.database,
        schema_name=facts.schema_name,
        postgres_version=facts.version,
        postgres_major=facts.major,
        pg_dump_version=program.version,
        pg_dump_major=program.major,
        compression=compression,
        started_at=started_at,
        taken_at=facts.taken_at,
        ended_at=datetime.now(UTC),
        stored_bytes=written.bytes,
        sha256=written.digest.hexdigest(),
        encryption=None if keys is None else Encryption(cipher=CIPHER, salt=keys.salt.hex(), key_id=keys.key_id),
        tables=tables,
        catalogue_sha256=facts.catalogue_sha256,
        roles=facts.roles,
        positions=facts.positions,
    )
    await write_text(store, manifest_name(backup_id), signed(manifest, keys))
    return manifest


async def _write_dump(
    settings: Settings,
    store: Store,
    snapshot: ExportedSnapshot,
    program: Program,
    compression: str,
    keys: FrameKeys | None,
    backup_id: str,
) -> tuple[Digested, dict[str, int]]:
    """Write the dump while the tables are counted; after an error the dump is removed."""
    facts = snapshot.facts
    counting = asyncio.create_task(snapshot.count())
    try:
        async with dump(
            program, settings.dsn, snapshot=facts.snapshot, schema=facts.schema_name, compress=compression
        ) as output:
            pieces = output.pieces(settings.backup_bytes_per_second)
            written = Digested(pieces if keys is None else encrypted(pieces, keys))
            await store.put(dump_name(backup_id), written.pieces())
        return written, await counting
    except BaseException:
        with suppress(StoreFailed):
            await store.delete(dump_name(backup_id))
        raise
    finally:
        counting.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await counting
