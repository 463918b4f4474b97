"""`bridge archive create|list|verify|restore`: months of events as Parquet files in the store at BRIDGE_STORE_URL."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bridge.archives.objects import Part, read_archive
from bridge.cli.common import JsonOutput, Verbose, command_settings, run, say, write_result
from bridge.cli.jobs import TimeoutSec, end_with, print_failures
from bridge.cli.lazy import group
from bridge.jobs.archives.create import create_job
from bridge.jobs.archives.restore import restore_job
from bridge.jobs.archives.verify import verify_job
from bridge.jobs.frame import RunOptions
from bridge.output.tables import Table, print_table, print_text, right
from schemas.documents.run_summary import ArchiveSummary, rfc3339
from sinks.postgres.archives.month import Month, asked_month
from sinks.store.opening import open_store

archive_app = group("archive", "Write months of events to the store as Parquet files, verify and restore them.")
AskedMonth = Annotated[
    str, typer.Argument(metavar="MONTH", help="A month in UTC, such as 2026-05; last is the month before this one.")
]
_SCOPE = "archive"


@archive_app.command()
def create(
    month: AskedMonth, timeout_sec: TimeoutSec = None, json_output: JsonOutput = None, verbose: Verbose = False
) -> None:
    """Write the events of a month that has ended to the store, a Parquet file for each hour. Nothing is removed.

    Afterwards run `bridge archive verify`. A month that got more events since it was archived gets a further part.
    """
    settings = command_settings(verbose=verbose)
    end_with(create_job(settings, _month(month)), settings, _options(timeout_sec, json_output), _print_made)


@archive_app.command()
def verify(
    month: AskedMonth, timeout_sec: TimeoutSec = None, json_output: JsonOutput = None, verbose: Verbose = False
) -> None:
    """Read the archive of a month back from the store, and compare each byte and each row with its manifest.

    `bridge retention` removes a month's events only within seven days after this. The exit code is 0 only for a complete
    archive.
    """
    settings = command_settings(verbose=verbose)
    end_with(verify_job(settings, _month(month)), settings, _options(timeout_sec, json_output), _print_verified)


@archive_app.command()
def restore(
    month: AskedMonth, timeout_sec: TimeoutSec = None, json_output: JsonOutput = None, verbose: Verbose = False
) -> None:
    """Bring the removed events of a month back from the store into the table of events, row for row.

    The audit balances afterwards. It is refused if the events are stored already.
    """
    settings = command_settings(verbose=verbose)
    end_with(restore_job(settings, _month(month)), settings, _options(timeout_sec, json_output), _print_restored)


@archive_app.command(name="list")
def list_(json_output: JsonOutput = None, verbose: Verbose = False) -> None:
    """List the archives in the store by month: rows, sizes, and when each was verified."""
    settings = command_settings(verbose=verbose)
    store = open_store(settings.store)
    found = run(read_archive(store))
    for line in found.damaged:
        say(f"warning: {line}")
    rows = [_row(one) for one in found.parts]
    if write_result(rows, json_output):
        table = Table("month", "archive", "taken", *right("rows", "bytes", "files"), "release", "verified")
        for row in rows:
            table.add_row(*(row[name] for name in _LISTED))
        print_table(table)


_LISTED = ("month", "archive_id", "taken_at", "rows", "bytes", "files", "release", "verified")


def _row(part: Part) -> dict[str, Any]:
    manifest, check = part.manifest, part.check
    verified = "no" if check is None else rfc3339(check.checked_at)
    if check is not None and check.problems:
        verified = f"NO: {check.problems[0]}"
    return {
        "month": manifest.month,
        "archive_id": manifest.archive_id,
        "taken_at": rfc3339(manifest.taken_at),
        "rows": manifest.rows,
        "bytes": manifest.bytes,
        "files": len(manifest.files),
        "release": manifest.release,
        "verified": verified,
        "manifest": part.name,
    }


def _month(text: str) -> Month:
    return asked_month(text, datetime.now(UTC).date())


def _options(timeout_sec: float | None, json_output: str | None) -> RunOptions:
    return RunOptions(_SCOPE, timeout_sec=timeout_sec, json_output=json_output)


def _print_made(summary: ArchiveSummary) -> None:
    print_failures(summary)
    for one in summary.parts:
        print_text(
            f"{summary.month} is archived as {one}: {summary.processed_total} rows in {summary.files} files of "
            f"{summary.stored_bytes} bytes, in {summary.stored_at}",
            *(f"removed: archive {old}, whose rows it has as well" for old in summary.superseded),
            f"next: bridge archive verify {summary.month}",
        )


def _print_verified(summary: ArchiveSummary) -> None:
    print_failures(summary)
    if not summary.errors:
        print_text(
            f"the archive of {summary.month} is verified: {summary.processed_total} rows in {summary.files} files of "
            f"{summary.stored_bytes} bytes are those of the manifest"
        )


def _print_restored(summary: ArchiveSummary) -> None:
    print_failures(summary)
    if summary.parts:
        print_text(
            f"{summary.processed_total} rows of {summary.month} are restored from {', '.join(summary.parts)}",
            "next:",
            "1. bridge audit             balanced: the closing entries are reversed",
            f"2. raise or unset BRIDGE_KEEP_EVENTS, or the next plan of retention removes {summary.month} again",
        )
