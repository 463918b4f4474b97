"""`bridge offsets show|skip`: the workers' stored offset in each partition, and the skip of a record that blocks it."""

from datetime import datetime
from typing import Annotated

import typer

from bridge.cli.common import (
    JsonOutput,
    Verbose,
    command_settings,
    given_reason,
    partition,
    row_document,
    run,
    write_result,
)
from bridge.cli.jobs import DryRun, Reason, end_with, show_changes
from bridge.cli.lazy import group
from bridge.jobs.frame import RunOptions
from bridge.jobs.skip import skip_job
from bridge.output.tables import Table, on_terminal, print_left_out, print_table, right
from sinks.postgres.offsets.admin import StoredOffset, stored_offsets

offsets_app = group("offsets", "Show the workers' stored offsets, and skip a record that blocks its partition.")


@offsets_app.command()
def show(
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="On a terminal, show unused partitions too: nothing was read from them, and nothing waits."
        ),
    ] = False,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Show each partition's stored offset, the offsets in Kafka, its worker, and the reason if no worker reads it."""
    settings = command_settings(verbose=verbose)
    found = run(stored_offsets(settings))
    if write_result([row_document(one._asdict(), datetime.isoformat) for one in found], json_output):
        print_offsets(found, everything=everything or not on_terminal())


@offsets_app.command()
def skip(
    source: Annotated[str, typer.Argument(metavar="TOPIC:PARTITION")],
    offset: Annotated[
        int, typer.Option(min=0, help="The record's offset; it must equal the stored offset of the partition.")
    ],
    reason: Reason,
    readable: Annotated[bool, typer.Option("--readable", help="Skip the record even if it can be read.")] = False,
    whole_batch: Annotated[
        bool, typer.Option("--batch", help="Skip all records from this one to the end of its batch.")
    ] = False,
    dry_run: DryRun = False,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Skip the one record at which its partition is blocked. Its event is given up.

    A record that can be read is skipped only with --readable. A batch that can't be read is skipped with --batch.
    """
    settings = command_settings(verbose=verbose)
    place, why = partition(source, "TOPIC:PARTITION"), given_reason(reason)
    job = skip_job(settings, place, offset, why, readable=readable, whole_batch=whole_batch)
    end_with(job, settings, RunOptions(source, dry_run, json_output=json_output), show_changes)


def _is_unused(one: StoredOffset) -> bool:
    """Return whether nothing was read from a partition, nothing waits in it, and it is not paused."""
    return one.lag == 0 and not (one.next_offset or one.held or one.skipped or one.stale or one.lost)


def print_offsets(found: list[StoredOffset], *, everything: bool = True) -> None:
    """Print the partitions for people. Without `everything`, unused partitions are left out."""
    log = right("partition", "log", "next", "start", "end", "lag")
    counts = right("epoch", "skipped", "stale", "lost")
    table = Table("topic", *log, "last record", "worker", *counts, "held")
    shown = [one for one in found if everything or not _is_unused(one)]
    for one in shown:
        table.add_row(
            one.topic, one.partition, one.incarnation, one.next_offset, one.log_start, one.log_end, one.lag,
            one.last_record_at, one.worker, one.epoch, one.skipped, one.stale, one.lost, one.held,
        )  # fmt: skip
    if shown or everything:
        print_table(table)
    print_left_out(len(found) - len(shown), "unused partitions are")
