"""Shared parts of the commands that run a job: options, the run with which a command ends, and printed summaries."""

from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from bridge.cli.common import run, say
from bridge.jobs.frame import DONE, Job, RunOptions, S, perform
from bridge.output.tables import print_text
from schemas.config.settings import Settings
from schemas.documents.run_summary import OffsetsSummary, RunSummary

Reason = Annotated[str, typer.Option("--reason", help="The reason; it is kept in the history of runs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only report what would be done.")]
TimeoutSec = Annotated[
    float | None,
    typer.Option(
        "--timeout-sec", min=0.001, help="Stop after this number of seconds; what is committed by then stays."
    ),
]


def end_with(job: Job[S], settings: Settings, options: RunOptions, show: Callable[[S], None]) -> NoReturn:
    """End the command with a run of the job: print its summary by `show`, and exit with the job's exit code.

    `show` prints the failures too. It is not called if standard output has the JSON.
    """
    summary, code = run(perform(job, settings, options))
    if options.json_output != "-":
        show(summary)
    raise typer.Exit(code)


def end_with_result(
    job: Job[S], settings: Settings, options: RunOptions, show: Callable[[S], None], *, partial: bool = False
) -> NoReturn:
    """Like `end_with`, with the failures on standard error, after the result that `show` prints.

    The result of a failed run is only printed if `partial`, because it is not complete.
    """
    summary, code = run(perform(job, settings, options))
    if options.json_output != "-" and (partial or code == DONE):
        show(summary)
    for error in summary.errors:
        say(f"failed: {error.target}: {error.reason}")
    raise typer.Exit(code)


def print_failures(summary: RunSummary) -> None:
    """Print the targets that failed, and why."""
    for error in summary.errors:
        print_text(f"failed: {error.target}: {error.reason}")


def show_changes(summary: OffsetsSummary) -> None:
    """Print the changes that an operator has made, or the reasons why nothing was changed."""
    print_text(*summary.changes)
    print_failures(summary)
