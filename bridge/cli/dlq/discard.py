"""`bridge dlq discard`: closes dead letters that will not be replayed."""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, given_reason, run, say
from bridge.cli.dlq.options import with_filter
from bridge.cli.jobs import DryRun, Reason, end_with, print_failures
from bridge.jobs.discard import discard_job
from bridge.jobs.frame import FATAL, RunOptions
from bridge.output.tables import print_text
from schemas.config.settings import Settings
from schemas.documents.dead_letter_filter import DeadLetterFilter, Disposition
from schemas.documents.run_summary import DiscardSummary
from schemas.errors import InvalidInput
from sinks.postgres.dead_letters.pages import count


@with_filter
def discard(
    chosen: DeadLetterFilter,
    reason: Reason,
    everything: Annotated[
        bool, typer.Option("--all", help="Discard all open dead letters; needed if no other option selects any.")
    ] = False,
    persisted: Annotated[
        bool,
        typer.Option(
            "--persisted", help="Only dead letters whose events are persisted because their producers sent them again."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask for confirmation.")] = False,
    dry_run: DryRun = False,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Close open dead letters permanently, with a reason. Claimed and replayed dead letters don't change.

    A discard is final: no replay sends a discarded dead letter, not even with --force. It stays in the ledger, where
    --disposition discarded finds it. To send its event again, export it with `bridge dlq export`, and publish the
    payload with `bridge produce` as a new event.
    """
    why = given_reason(reason)
    if chosen.names_nothing and not everything and not persisted:
        raise InvalidInput(
            "no dead letters are selected; give --cause KEY of `bridge dlq groups`, another filter, --persisted, or --all"
        )
    if chosen.disposition is not None and Disposition.OPEN not in chosen.disposition:
        raise InvalidInput("--disposition: only open dead letters can be discarded; leave the option out")
    if chosen.until is None:
        # The confirmed count does not contain dead letters that are dropped later.
        chosen = chosen.model_copy(update={"until": datetime.now(UTC)})
    settings = command_settings(verbose=verbose)
    if not (dry_run or yes or _agreed(settings, chosen, persisted=persisted)):
        say("nothing was discarded")
        raise typer.Exit(FATAL)
    job = discard_job(settings, chosen, why, persisted=persisted)
    end_with(job, settings, RunOptions("dead-letters", dry_run, json_output=json_output), _print)


def _agreed(settings: Settings, chosen: DeadLetterFilter, *, persisted: bool) -> bool:
    if not sys.stdin.isatty():
        raise InvalidInput(
            "standard input is no terminal, so nothing can be confirmed; give --yes, or --dry-run to count the dead letters"
        )
    found = run(count(settings.dsn, chosen))
    number = f"{found.get(Disposition.OPEN, 0)} dead letters"
    question = f"discard {number}? no replay can send them afterwards"
    if persisted:
        question = f"discard those of the {number} whose events are persisted?"
    return typer.confirm(question, err=True)


def _print(summary: DiscardSummary) -> None:
    print_failures(summary)
    for warning in summary.warnings:
        print_text(f"warning: {warning}")
    if not summary.errors:
        left = ", ".join(f"{number} {disposition}" for disposition, number in summary.left.items())
        would = "would be " if summary.dry_run else ""
        persisted = " as persisted meanwhile" if summary.persisted else ""
        print_text(f"{summary.processed_total} {would}discarded{persisted}; left as they are: {left or 'none'}")
        if summary.dry_run and summary.processed_total and not summary.persisted:
            print_text(
                "a discard is final: no replay takes discarded dead letters; `bridge dlq export` can still write them"
            )
    if summary.unidentified:
        print_text(
            f"{summary.unidentified} of the open dead letters have no readable site, event id or sender class, so it "
            "is not known whether their events are persisted; to close them as discarded, leave out --persisted"
        )
