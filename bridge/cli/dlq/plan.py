"""`bridge dlq plan`: stores the exact set of dead letters that a replay will send, and forecasts their outcomes."""

import sys
import uuid
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, given_reason
from bridge.cli.dlq.options import with_filter
from bridge.cli.dlq.replays import end_replay, print_report
from bridge.cli.jobs import DryRun, TimeoutSec
from bridge.jobs.frame import RunOptions
from bridge.jobs.plan import PlanOptions, plan_job
from bridge.output.tables import print_text
from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.documents.replay import PlanSummary
from schemas.errors import InvalidInput, PreconditionFailed
from streams.rules.correction import read_correction

_LONGEST_PATCH = 1024 * 1024


@with_filter
def plan(
    chosen: DeadLetterFilter,
    all_: Annotated[
        bool, typer.Option("--all", help="Select all open dead letters; needed if no filter is given.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask for confirmation.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Most dead letters to plan, the oldest first.")] = None,
    passing: Annotated[
        bool, typer.Option("--passing", help="Leave out dead letters that today's code would drop again.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Set this field of each event to a value, or to the result of an expression such as *1000. Repeatable.",
        ),
    ] = None,
    patch: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Apply this JSON Patch (RFC 6902) to each event, before --set.")
    ] = None,
    reason: Annotated[str, typer.Option(help="The reason; required for a correction.")] = "",
    dry_run: DryRun = False,
    timeout_sec: TimeoutSec = None,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Store the exact set of dead letters that a replay will send, and show what today's code would do with each.

    Nothing is sent or changed.
    """
    settings = command_settings(verbose=verbose)
    if chosen.names_nothing:
        _confirm_all(given=all_, yes=yes or dry_run)
    correction = read_correction(set_ or (), None if patch is None else _read(patch))
    if correction or reason:
        reason = given_reason(reason)
    replay_id = uuid.uuid4()
    options = PlanOptions(chosen, correction, reason, limit, passing)
    run_options = RunOptions(str(replay_id), dry_run, timeout_sec=timeout_sec, json_output=json_output)

    def show(summary: PlanSummary) -> None:
        print_report(summary.report)
        print_text("dry run: no plan was made" if dry_run else f"plan {replay_id}")

    end_replay(plan_job(settings, options, replay_id), settings, run_options, show)


def _confirm_all(*, given: bool, yes: bool) -> None:
    if not given:
        raise InvalidInput("no filter is given; give one, or --all for every open dead letter")
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInput("--all: standard input is no terminal, so nothing can be confirmed; give --yes as well")
    typer.confirm("Plan a replay of all open dead letters?", abort=True, err=True)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_PATCH + 1)
    except OSError as error:
        raise PreconditionFailed(f"--patch: cannot read {path}: {error.strerror}") from error
    if len(text) > _LONGEST_PATCH:
        raise InvalidInput(f"--patch: {path} is larger than the limit of {_LONGEST_PATCH} bytes")
    return text
