"""`bridge offsets show|skip`: the group's position in each log, and the way past a record that blocks a partition."""

from typing import Annotated, Any

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, given_reason, partition, run, write_json
from bridge.jobs.frame import RunOptions, perform
from bridge.jobs.skip import skip_job
from bridge.output.tables import Table, on_terminal, print_left_out, print_table, print_text
from schemas.documents.run_summary import OffsetsSummary
from sinks.postgres.offsets.admin import StoredOffset, stored_offsets

offsets_app = typer.Typer(name="offsets", help="The workers' positions in Kafka's logs.", no_args_is_help=True)

Reason = Annotated[str, typer.Option("--reason", help="The reason; it is kept in the history of runs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only report what would be done.")]

_RIGHT = ("partition", "log", "next", "start", "end", "lag", "epoch", "skipped", "stale", "lost")


@offsets_app.command()
def show(
    everything: Annotated[
        bool, typer.Option("--all", help="On a terminal also partitions of which nothing was read and nothing waits.")
    ] = False,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Show each partition's stored offset beside Kafka's log, its worker, and the reason if no worker reads it."""
    settings = command_settings(verbose=verbose)
    found = run(stored_offsets(settings))
    if json_output is not None:
        write_json([_document(one) for one in found], json_output)
    if json_output != "-":
        print_offsets(found, everything=everything or not on_terminal())


@offsets_app.command()
def skip(
    source: Annotated[str, typer.Argument(metavar="TOPIC:PARTITION")],
    offset: Annotated[
        int, typer.Option("--offset", min=0, help="The record's offset, which is the partition's position.")
    ],
    reason: Reason,
    readable: Annotated[bool, typer.Option("--readable", help="Skip it even if it can be read.")] = False,
    dry_run: DryRun = False,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Pass exactly the one record that holds its partition: unreadable, or with --readable any; its event is given up."""
    settings = command_settings(verbose=verbose)
    job = skip_job(settings, partition(source, "TOPIC:PARTITION"), offset, given_reason(reason), readable=readable)
    summary, code = run(perform(job, settings, RunOptions(source, dry_run, json_output=json_output)))
    if json_output != "-":
        show_changes(summary)
    raise typer.Exit(code)


def show_changes(summary: OffsetsSummary) -> None:
    """Print the changes, or the reasons for none, for people."""
    for change in summary.changes:
        print_text(change)
    for error in summary.errors:
        print_text(f"failed: {error.target}: {error.reason}")


def _document(one: StoredOffset) -> dict[str, Any]:
    moment = one.last_record_at
    return one._asdict() | {"last_record_at": None if moment is None else moment.isoformat()}


def _is_unused(one: StoredOffset) -> bool:
    """Return whether nothing was read of a partition, nothing waits in it, and it is not paused."""
    return one.lag == 0 and not (one.next_offset or one.held or one.skipped or one.stale or one.lost)


def print_offsets(found: list[StoredOffset], *, everything: bool = True) -> None:
    """Print the partitions for people; unless `everything`, without the unused ones."""
    columns = ("topic", "partition", "log", "next", "start", "end", "lag", "last record", "worker", "epoch")
    table = Table(*columns, "skipped", "stale", "lost", "held")
    for column in table.columns:
        if column.header in _RIGHT:
            column.justify = "right"
    shown = [one for one in found if everything or not _is_unused(one)]
    for one in shown:
        moment = "" if one.last_record_at is None else f"{one.last_record_at:%Y-%m-%dT%H:%M:%SZ}"
        kafka = ("" if figure is None else str(figure) for figure in (one.log_start, one.log_end, one.lag))
        counts = map(str, (one.skipped, one.stale, one.lost))
        table.add_row(
            one.topic, str(one.partition), str(one.incarnation), str(one.next_offset), *kafka, moment, one.worker,
            str(one.epoch), *counts, one.held or "",
        )  # fmt: skip
    if shown or everything:
        print_table(table)
    print_left_out(len(found) - len(shown), "partitions of which nothing was read are")
