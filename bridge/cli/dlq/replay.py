"""`bridge dlq replay`: sends a plan's dead letters to the raw topic again, and reports their outcomes."""

from functools import partial
from typing import Annotated

import typer
from pydantic import ValidationError

from bridge.cli.common import JsonOutput, Verbose, command_settings, run, say, seconds_of
from bridge.cli.dlq.replays import corrected_lines, end_replay, found_plan, print_report, print_result
from bridge.cli.jobs import DryRun, TimeoutSec
from bridge.jobs.frame import RunOptions
from bridge.jobs.plan import rehearsal_job
from bridge.jobs.replay import ReplayOptions, replay_job
from bridge.jobs.replay_topic import replay_topic_job
from bridge.output.tables import print_counts, print_text
from schemas.documents.replay import Plan, PlanReport, PlanState, TopicReplaySummary
from schemas.errors import InvalidInput

_RATE_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def replay(
    plan_id: Annotated[str | None, typer.Argument(metavar="PLAN", help="The plan's id, or a prefix of it.")] = None,
    from_topic: Annotated[
        str | None,
        typer.Option(metavar="TOPIC", help="Instead of a plan: a topic with the dead letters of another program."),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="N/s",
            help="Highest rate, such as 500/s or 30/m. A plan's next 200 records are sent when the 200 before are committed, at any rate.",
        ),
    ] = None,
    canary: Annotated[
        int, typer.Option(min=0, help="Number of items to send first; the others follow when these have become rows.")
    ] = 0,
    canary_max_failures: Annotated[
        int,
        typer.Option(
            min=0,
            help="Most items of the canary that may be dropped again. Raise it to continue after a failed canary.",
        ),
    ] = 0,
    wait: Annotated[
        str,
        typer.Option(
            metavar="5m", help="Most time to wait for the canary's outcomes, and at the end for all outcomes."
        ),
    ] = "5m",
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Also send dead letters that were replayed before, unless another plan has claimed them."
        ),
    ] = False,
    dry_run: DryRun = False,
    timeout_sec: TimeoutSec = None,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Send a plan's dead letters to the raw topic again.

    Repeat the command to continue a run that was stopped or killed.
    """
    settings = command_settings(verbose=verbose)
    seconds = seconds_of("--wait", wait)
    if canary and not seconds:
        raise InvalidInput("--canary: the run waits for the canary; give a --wait of more than 0s")
    chosen_rate = _rate(rate)
    if (plan_id is None) == (from_topic is None):
        raise InvalidInput("give a PLAN, or --from-topic TOPIC for dead letters of other programs")
    options = partial(RunOptions, dry_run=dry_run, timeout_sec=timeout_sec, json_output=json_output)
    if from_topic is not None:
        if canary or force:
            raise InvalidInput(
                "--from-topic: --canary and --force are only for plans; leave them out, and try --dry-run first"
            )
        topic_job = replay_topic_job(settings, from_topic, chosen_rate)
        end_replay(topic_job, settings, options(from_topic), _print_topic, partial=True)
    found = run(found_plan(settings, plan_id or ""))
    if dry_run:
        job = rehearsal_job(settings, found.replay_id, force=force)
        end_replay(job, settings, options(found.replay_id), lambda summary: print_report(summary.report))
    if found.state is not PlanState.SENT:
        _show_corrections(found)
    asked = ReplayOptions(found.replay_id, chosen_rate, canary, canary_max_failures, seconds, force)
    end_replay(replay_job(settings, asked), settings, options(found.replay_id), print_result, partial=True)


def _rate(text: str | None) -> float:
    if text is None:
        return 0.0
    number, _, unit = text.partition("/")
    try:
        rate = float(number) / _RATE_UNITS[unit or "s"]
    except (ValueError, KeyError):
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise InvalidInput(f"--rate: {text!r} is not a rate; give a number such as 500/s, 30/m or 10/h")
    return rate


def _show_corrections(plan: Plan) -> None:
    """Show what the plan's correction changes, before anything is sent."""
    if plan.corrections:
        say(f"corrections, because: {plan.reason}")
    try:
        report = PlanReport.model_validate(plan.report)
    except ValidationError:
        raise InvalidInput(f"the plan {plan.replay_id} has a report in an unknown form; make a new plan") from None
    for line in corrected_lines(report):
        say(line)
    for warning in report.warnings:
        say(f"warning: {warning}")


def _print_topic(summary: TopicReplaySummary) -> None:
    would = "would be " if summary.dry_run else ""
    count = sum(summary.forecast.values()) if summary.dry_run else summary.sent_total
    print_text(f"{summary.topic}: {summary.processed_total} records read, {count} {would}sent")
    if summary.in_the_ledger:
        print_text(f"{summary.in_the_ledger} not sent: they are in the ledger; replay them with `bridge dlq plan`")
    if summary.without_value:
        print_text(f"{summary.without_value} not sent: their value was too large for a dead letter, and is missing")
    if summary.refused:
        print_text(f"{summary.refused} not sent: Kafka refuses them, for example because of their size")
    print_counts("by today's code", summary.forecast)
