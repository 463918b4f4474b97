"""`bridge runs list|show`: the history of runs, with account, time and result.

A run is one execution of a command that changes something.
"""

from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, run, write_json, write_result
from bridge.cli.lazy import group
from bridge.output.tables import Table, print_table
from sinks.postgres.runs.history import list_runs, show_run

runs_app = group("runs", "Show the history of jobs' runs.")


@runs_app.command(name="list")
def list_(
    script: Annotated[str | None, typer.Option(help="Only runs of this job, such as process.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most runs to show.")] = 20,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """List the newest runs. A run without an end is still running, or was killed."""
    settings = command_settings(verbose=verbose)
    found = run(list_runs(settings.dsn, script, limit))
    if write_result([one._asdict() for one in found], json_output):
        table = Table("run", "job", "by", "started", "seconds", "exit", "processed", "failed")
        for one in found:
            summary = one.summary or {}
            seconds = "" if one.ended_at is None else f"{(one.ended_at - one.started_at).total_seconds():.1f}"
            counts = (summary.get(name) for name in ("processed_total", "failed_total"))
            table.add_row(one.run_id, one.script, one.started_by, one.started_at, seconds, one.exit_code, *counts)
        print_table(table)


@runs_app.command()
def show(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or a prefix of it.")],
    verbose: Verbose = False,
) -> None:
    """Show one whole run, as JSON."""
    settings = command_settings(verbose=verbose)
    write_json(run(show_run(settings.dsn, run_id))._asdict(), "-")
