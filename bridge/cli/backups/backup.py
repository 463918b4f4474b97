"""`bridge backup create|list|verify|prune|attest`: backups of the database in the store at BRIDGE_STORE_URL."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bridge.backups.objects import Inventory, inventory
from bridge.cli.common import JsonOutput, Verbose, asked_moment, command_settings, run, say, seconds_of, write_result
from bridge.cli.jobs import DryRun, TimeoutSec, end_with, print_failures
from bridge.cli.lazy import group
from bridge.jobs.backups.attest import attest_job
from bridge.jobs.backups.create import create_job
from bridge.jobs.backups.prune import prune_job
from bridge.jobs.backups.verify import verify_job
from bridge.jobs.frame import RunOptions
from bridge.output.tables import Table, print_table, print_text, right
from schemas.documents.run_summary import BackupPruneSummary, BackupSummary, rfc3339
from schemas.errors import BridgeError, InvalidInput
from sinks.postgres.backups.record import BackupRecord, list_backups
from sinks.store.opening import open_store
from sinks.store.port import Store

backup_app = group("backup", "Make, verify and remove backups of the database; `bridge restore` restores one.")
BackupId = Annotated[
    str, typer.Argument(metavar="BACKUP", help="The id of `bridge backup list`, its beginning, or newest.")
]


@backup_app.command()
def create(timeout_sec: TimeoutSec = None, json_output: JsonOutput = None, verbose: Verbose = False) -> None:
    """Write a backup of the database to the store at BRIDGE_STORE_URL.

    The backup shows the database at one moment, while workers go on. It is encrypted if BRIDGE_BACKUP_KEY is set. A
    backup that fails does not exist; the exit code is 0 only if it is complete.
    """
    settings = command_settings(verbose=verbose)
    options = RunOptions("database", timeout_sec=timeout_sec, json_output=json_output)
    end_with(create_job(settings), settings, options, _print_made)


@backup_app.command(name="list")
def list_(json_output: JsonOutput = None, verbose: Verbose = False) -> None:
    """List the backups in the store, the newest first, and those that other programs have made."""
    settings = command_settings(verbose=verbose)
    store = open_store(settings.store)
    found = run(inventory(store))
    for line in found.damaged:
        say(f"warning: {line}")
    external: list[BackupRecord] = []
    try:
        external = [one for one in run(list_backups(settings.dsn)) if one.kind == "external"]
    except BridgeError as error:
        # The store's list is needed most when the database is gone.
        say(f"warning: backups by other programs are not listed: {error}")
    rows = sorted([*_in_store(store, found), *map(_attested, external)], key=lambda row: row["taken_at"], reverse=True)
    if write_result(rows, json_output):
        table = Table(
            "backup", "taken", *right("bytes", "rows"), "encrypted", "release", "verified", *right("restore s"), "where"
        )
        for row in rows:
            table.add_row(
                row["backup_id"], row["taken_at"], row["stored_bytes"], row["rows"], _yes(row["encrypted"]), row["release"],
                row["verified"], row["restore_seconds"], row["stored_at"],
            )  # fmt: skip
        print_table(table)


@backup_app.command()
def verify(
    backup: BackupId = "newest",
    timeout_sec: TimeoutSec = None,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Restore a backup into a new database, compare it with what was backed up, and drop the database.

    The database is made on the server of BRIDGE_VERIFY_DATABASE_URL, or else of BRIDGE_DATABASE_URL. The row count of
    each table, the schema and the audit of the restored rows are checked. The exit code is 0 only for a whole backup.
    """
    settings = command_settings(verbose=verbose)
    options = RunOptions("database", timeout_sec=timeout_sec, json_output=json_output)
    end_with(verify_job(settings, backup), settings, options, _print_verified)


@backup_app.command()
def prune(
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; without it they are only shown.")] = False,
    dry_run: DryRun = False,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Show the backups that are older than BRIDGE_BACKUP_KEEP, and remove them with --yes.

    The newest backup and the newest verified backup are always kept.
    """
    settings = command_settings(verbose=verbose)
    options = RunOptions("database", dry_run=dry_run or not yes, json_output=json_output)
    end_with(prune_job(settings), settings, options, _print_pruned)


@backup_app.command()
def attest(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the backup in the other program.")],
    stored_at: Annotated[str, typer.Option("--stored-at", help="Where it is, such as pgbackrest:main.")],
    taken: Annotated[
        str | None,
        typer.Option(
            "--taken",
            help="The time whose state it has: RFC 3339, or an age such as 2h. By default now, or the known time of this backup.",
        ),
    ] = None,
    restored_in: Annotated[
        str | None,
        typer.Option("--restored-in", help="A restore of it was tried and has taken this long, such as 40m."),
    ] = None,
    note: Annotated[str | None, typer.Option("--note", help="A remark, which `bridge backup list` shows.")] = None,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Note a backup that another program has made, such as pgBackRest, for the doctor and the alerts."""
    now = datetime.now(UTC)
    settings = command_settings(verbose=verbose)
    for option, text, longest in (("NAME", name, 100), ("--stored-at", stored_at, 500), ("--note", note or "-", 500)):
        if not text.strip() or not text.isprintable() or len(text) > longest:
            raise InvalidInput(f"{option}: give one line of 1 to {longest} printable characters")
    if (
        not name.replace("-", "").replace("_", "").replace(".", "").isalnum()
        or not name.isascii()
        or not name[0].isalnum()
    ):
        raise InvalidInput("NAME: use letters, digits, dots, hyphens and underscores, such as 20260210-020000F")
    moment = asked_moment("--taken", taken, now)
    if moment is not None and moment > now:
        raise InvalidInput(f"--taken: {taken} is in the future")
    seconds = None if restored_in is None else seconds_of("--restored-in", restored_in)
    job = attest_job(settings, name, moment, stored_at, note, seconds)
    end_with(job, settings, RunOptions("database", json_output=json_output), _print_attested)


def _in_store(store: Store, found: Inventory) -> list[dict[str, Any]]:
    rows = []
    for one in found.backups:
        verified = "no" if one.check is None else rfc3339(one.check.checked_at)
        if one.check is not None and one.check.problems:
            verified = f"NO: {one.check.problems[0]}"
        rows.append(
            {
                "backup_id": one.manifest.backup_id,
                "kind": "dump",
                "taken_at": rfc3339(one.manifest.taken_at),
                "stored_bytes": one.manifest.stored_bytes,
                "rows": one.manifest.rows,
                "encrypted": one.manifest.encryption is not None,
                "release": one.manifest.release,
                "verified": verified,
                "restore_seconds": None if one.check is None else one.check.restore_seconds,
                "stored_at": store.address,
            }
        )
    return rows


def _attested(one: BackupRecord) -> dict[str, Any]:
    return {
        "backup_id": one.backup_id,
        "kind": one.kind,
        "taken_at": rfc3339(one.taken_at),
        "stored_bytes": one.stored_bytes,
        "rows": one.row_count,
        "encrypted": one.encrypted,
        "release": "",
        "verified": "no" if one.checked_at is None else rfc3339(one.checked_at),
        "restore_seconds": one.restore_seconds,
        "stored_at": one.stored_at + (f" ({one.note})" if one.note else ""),
    }


def _yes(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"


def _print_made(summary: BackupSummary) -> None:
    _print_warnings(summary.warnings)
    print_failures(summary)
    if not summary.errors and summary.backup_id:
        kind = "encrypted" if summary.encrypted else "not encrypted"
        print_text(
            f"backup {summary.backup_id}: {summary.processed_total} rows of {summary.tables} tables in "
            f"{summary.stored_bytes} bytes, {kind}, in {summary.stored_at}"
        )


def _print_verified(summary: BackupSummary) -> None:
    _print_warnings(summary.warnings)
    print_failures(summary)
    if not summary.errors and summary.backup_id:
        print_text(
            f"backup {summary.backup_id} is verified: {summary.processed_total} rows of {summary.tables} tables were restored in "
            f"{summary.restore_seconds:.1f} s, and schema, counts and audit are those of the backup"
        )


def _print_pruned(summary: BackupPruneSummary) -> None:
    _print_warnings(summary.warnings)
    print_failures(summary)
    done = "would be removed" if summary.dry_run else "removed"
    for name in summary.removed:
        print_text(f"{done}: backup {name}")
    for name in summary.unfinished:
        print_text(f"{done}: {name}, which belongs to no backup")
    print_text(f"{len(summary.removed)} backups {done}, {summary.kept_total} kept")
    if summary.dry_run and (summary.removed or summary.unfinished):
        print_text("give --yes to remove them")


def _print_attested(summary: BackupSummary) -> None:
    print_failures(summary)
    if not summary.errors:
        tried = "" if summary.restore_seconds is None else f", restored in {summary.restore_seconds:g} s"
        print_text(f"backup {summary.backup_id} is noted: {summary.stored_at}{tried}")


def _print_warnings(warnings: list[str]) -> None:
    for warning in warnings:
        print_text(f"warning: {warning}")
