"""`bridge restore`: restores a backup into an empty database, and prints the next steps."""

import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bridge.backups.objects import find_backup
from bridge.backups.reading import check_encrypted, differences, examined_target, restore_backup
from bridge.cli.common import JsonOutput, Verbose, command_settings, run, say, write_result
from bridge.output.tables import print_text
from schemas.config.addresses import database_address
from schemas.config.settings import Settings
from schemas.documents.backup_manifest import BackupManifest
from schemas.documents.run_summary import BackupSummary, begin_summary
from schemas.errors import BridgeError, Damaged, InvalidInput
from sinks.postgres.backups.target import in_schema
from sinks.postgres.runs.history import note_end
from sinks.store.opening import open_store

_NEXT = (
    "set BRIDGE_DATABASE_URL to the restored database, then:",
    "1. bridge db migrate            the schema of this release, and the monthly partitions",
    "2. bridge db grants ROLE ...    for each account, with its --service and --apply",
    "3. bridge topics check          Kafka's topics are as declared",
    "4. bridge doctor                also whether Kafka still keeps what the backup lacks",
    "5. start workers                they continue at the restored offsets and read again what is missing",
    "6. bridge audit                 balanced, once the workers have no lag",
)


def restore(
    backup: Annotated[
        str, typer.Argument(metavar="BACKUP", help="The id of `bridge backup list`, its beginning, or newest.")
    ],
    confirm: Annotated[
        str, typer.Option("--confirm", metavar="DATABASE", help="The name of the database, to show that you mean it.")
    ],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="URL",
            help="The empty database, as postgresql://user@host:port/name; its password is in PGPASSWORD or a password file. "
            "By default BRIDGE_RESTORE_DATABASE_URL.",
        ),
    ] = None,
    no_privileges: Annotated[
        bool,
        typer.Option("--no-privileges", help="Leave out the grants, for a server without the accounts of the backup."),
    ] = False,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Restore a backup from the store at BRIDGE_STORE_URL into an empty database.

    It needs neither Kafka nor BRIDGE_DATABASE_URL. A database with tables, or in use by the bridge, is refused. The
    restore is one transaction: after an error the database is empty again.
    """
    settings = command_settings(verbose=verbose)
    dsn = _target_url(settings, to)
    name = database_address(dsn).database
    if confirm != name:
        raise InvalidInput(
            f"--confirm: {confirm!r} is not the database's name {name!r}; give the name of the database of --to"
        )
    check_encrypted(settings, "BRIDGE_RESTORE_DATABASE_URL" if to is None else "--to", dsn)
    document = run(_restored(settings, backup, dsn, privileges=not no_privileges))
    if write_result(document, json_output):
        print_text(
            f"backup {document['backup_id']} is restored into {name}: {document['rows']} rows of {document['tables']} tables in "
            f"{document['restore_seconds']:.1f} s, as of {document['taken_at']}",
            *_NEXT,
        )


def _target_url(settings: Settings, to: str | None) -> str:
    url = settings.restore_database_url.get_secret_value() if to is None else to
    if not url:
        raise InvalidInput("--to: name the empty database, as postgresql://user@host:port/name")
    try:
        address = database_address(url)
    except ValueError as error:
        raise InvalidInput(f"--to: {error}") from None
    if to is not None and address.password:
        raise InvalidInput(
            "--to: the URL has a password, which every account of this machine can read: leave it out and set PGPASSWORD, or "
            "set BRIDGE_RESTORE_DATABASE_URL instead of --to"
        )
    if not address.database:
        raise InvalidInput("--to: the URL names no database")
    return url


async def _restored(settings: Settings, asked: str, dsn: str, *, privileges: bool) -> dict[str, Any]:
    started, began = datetime.now(UTC), time.monotonic()
    store = open_store(settings.store)
    manifest = await find_backup(store, asked)
    await examined_target(manifest, dsn, privileges=privileges)
    if manifest.encryption is None and settings.backup_key is not None:
        say(
            f"warning: BRIDGE_BACKUP_KEY is set, and backup {manifest.backup_id} is not encrypted: nothing proves who wrote it"
        )
    say(f"restoring {manifest.rows} rows from {store.address}, backup {manifest.backup_id}")
    seconds = await restore_backup(settings, store, manifest, dsn, privileges=privileges)
    if problems := await differences(manifest, dsn):
        raise Damaged(
            f"the restored database is not the backup: {'; '.join(problems)}; drop database "
            f"{database_address(dsn).database} and restore another backup"
        )
    await _note(dsn, manifest, started, seconds)
    return {
        "backup_id": manifest.backup_id,
        "taken_at": manifest.taken_at.isoformat(),
        "release": manifest.release,
        "rows": manifest.rows,
        "tables": len(manifest.tables),
        "restore_seconds": round(seconds, 3),
        "seconds": round(time.monotonic() - began, 3),
    }


async def _note(dsn: str, manifest: BackupManifest, started: datetime, seconds: float) -> None:
    """Note the restore in the history of the restored database. A failure does not change the result."""
    summary = begin_summary("restore", started, BackupSummary)
    summary.backup_id, summary.processed_total, summary.restore_seconds = manifest.backup_id, manifest.rows, seconds
    ended = datetime.now(UTC)
    text = summary.ended(ended, started).model_dump_json()
    try:
        restored = in_schema(dsn, manifest.schema_name)
        await note_end(restored, summary.run_id, "restore", (started, ended), 0, text)
    except BridgeError as error:
        say(f"warning: the restore is not recorded in the history of the restored database: {error}")
