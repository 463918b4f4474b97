"""`bridge dlq plan|replay|cancel|plans|status`: from a frozen plan of dead letters to what became of each."""

import sys
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from bridge.cli.common import JsonOutput, Verbose, command_settings, run, say, write_json
from bridge.cli.dead_letter_options import with_filter
from bridge.cli.tables import print_table, print_text
from bridge.runs.cancel import cancel_job, lock_of
from bridge.runs.frame import Job, RunOptions, S, perform
from bridge.runs.plan import PlanOptions, plan_job, rehearsal_job
from bridge.runs.replay import ReplayOptions, replay_job
from schemas.dead_letter_filter import DeadLetterFilter
from schemas.errors import EnvironmentUnfit, InvalidInput
from schemas.replay import Forecast, Outcome, Plan, PlanReport, PlanState, ReplaySummary
from schemas.run_summary import rfc3339
from schemas.settings import Settings, duration_seconds
from sinks.postgres import connection
from sinks.replays.plans import Became, find_plan, list_plans, outcomes, summed
from sinks.runs import is_locked
from streams.correction import read_correction

PlanId = Annotated[str, typer.Argument(metavar="PLAN", help="The plan's id, or how it begins.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen; leave nothing behind.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
TimeoutSec = Annotated[float | None, typer.Option("--timeout-sec", min=0.001, help="End after so long.")]

_WORDS = {
    Forecast.PASSES: "would pass",
    Forecast.FAILS_THE_SAME: "would fail the same way",
    Forecast.FAILS_OTHERWISE: "would fail otherwise",
    Forecast.PERSISTED: "persisted meanwhile",
    Forecast.COPY: "copies of others in the plan",
    Forecast.REFUSED: "can't be replayed",
}
_RATE_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_REASON = 500
_LONGEST_PATCH = 1024 * 1024


def mount(app: typer.Typer) -> None:
    """Adds these verbs to a group of commands."""
    app.command("plan")(with_filter(plan))
    for command in (replay, cancel, plans, status):
        app.command(command.__name__)(command)


def plan(
    chosen: DeadLetterFilter,
    all_: Annotated[bool, typer.Option("--all", help="All open dead letters: without it a filter is needed.")] = False,
    yes: Yes = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many, the oldest first.")] = None,
    passing: Annotated[bool, typer.Option("--passing", help="Leave out what would not pass today.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Correct this field of each event. Repeatable."),
    ] = None,
    patch: Annotated[
        Path | None, typer.Option("--patch", metavar="FILE", help="Correct each event by this JSON Patch (RFC 6902).")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; needed for a correction.")] = "",
    dry_run: DryRun = False,
    timeout_sec: TimeoutSec = None,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Freeze the exact set of a replay, and say what today's code would make of it; nothing is sent or changed."""
    settings = command_settings(verbose=verbose)
    if chosen.names_nothing:
        _confirm_all(given=all_, yes=yes or dry_run)
    correction = read_correction(set_ or (), None if patch is None else _read(patch))
    if correction or reason:
        reason = _said(reason)
    replay_id = uuid.uuid4()
    options = PlanOptions(chosen, correction, reason, limit, passing)
    summary = _perform(
        plan_job(settings, options, replay_id), settings, str(replay_id), dry_run, timeout_sec, json_output
    )
    if json_output != "-" and not summary.errors:
        _print_report(summary.report)
        shown = f"plan {replay_id}" if not dry_run else "dry run: no plan was made"
        print_text(shown)


def replay(
    plan_id: PlanId,
    rate: Annotated[
        str | None, typer.Option("--rate", metavar="N/s", help="Send at most so many: 500/s, 30/m.")
    ] = None,
    canary: Annotated[
        int, typer.Option("--canary", min=0, help="Send so many first, and the rest once they are settled well.")
    ] = 0,
    canary_max_failures: Annotated[
        int, typer.Option("--canary-max-failures", min=0, help="So many of the canary may be dropped again.")
    ] = 0,
    wait: Annotated[
        str, typer.Option("--wait", metavar="5m", help="How long to wait until all is settled, also for the canary.")
    ] = "5m",
    force: Annotated[
        bool, typer.Option("--force", help="Also what was replayed before; never what is claimed.")
    ] = False,
    dry_run: DryRun = False,
    timeout_sec: TimeoutSec = None,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Send a plan's dead letters to the raw topic again; the same command goes on where one was stopped or killed."""
    settings = command_settings(verbose=verbose)
    seconds = _seconds("--wait", wait)
    if canary and not seconds:
        raise InvalidInput("--canary: it is waited for, so that --wait must be more than 0s")
    chosen_rate = _rate(rate)
    found = run(_found(settings, plan_id))
    if dry_run:
        job = rehearsal_job(settings, found.replay_id, force=force)
        rehearsed = _perform(job, settings, found.replay_id, True, timeout_sec, json_output)
        if json_output != "-" and not rehearsed.errors:
            _print_report(rehearsed.report)
        return
    options = ReplayOptions(found.replay_id, chosen_rate, canary, canary_max_failures, seconds, force)
    _show_corrections(found)
    _perform(replay_job(settings, options), settings, found.replay_id, False, timeout_sec, json_output, _print_result)


def cancel(
    plan_id: PlanId,
    reason: Annotated[str, typer.Option("--reason", help="Why, for those who read the history.")],
    wait: Annotated[str, typer.Option("--wait", metavar="30s", help="How long its run may take to stop.")] = "30s",
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Stop a replay for good, within seconds; what was not sent is open again."""
    settings = command_settings(verbose=verbose)
    said, seconds = _said(reason), _seconds("--wait", wait)
    found = run(_found(settings, plan_id))
    _perform(
        cancel_job(settings, found.replay_id, said, seconds),
        settings,
        found.replay_id,
        False,
        None,
        json_output,
        _print_result,
    )


def plans(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Most plans to show.")] = 20,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """List the newest plans."""
    settings = command_settings(verbose=verbose)
    found = run(list_plans(settings.dsn, limit))
    if json_output is not None:
        write_json([one._asdict() for one in found], json_output)
    if json_output != "-":
        table = Table("plan", "made", "by", "state", "items", "sent", "corrected", "reason")
        for one in found:
            counts = (str(one.planned), str(one.published), "yes" if one.corrections else "")
            table.add_row(
                one.replay_id, rfc3339(one.created_at), one.requested_by, one.state.value, *counts, one.reason
            )
        print_table(table)


def status(plan_id: PlanId, json_output: JsonOutput = None, verbose: Verbose = False) -> None:
    """Show one plan: what it holds, how far it is, and what became of its items."""
    settings = command_settings(verbose=verbose)
    found, became, running = run(_looked(settings, plan_id))
    counts = summed(became)
    if json_output is not None:
        details = {"running": running, "outcomes": counts}
        reasons = {one.value: summed(became, one) for one in (Outcome.DROPPED, Outcome.SKIPPED)}
        write_json(found._asdict() | details | reasons, json_output)
    if json_output == "-":
        return
    state = found.state.value
    if found.state is PlanState.RUNNING and not running:
        state = "stopped: its run was killed; the same `bridge dlq replay` goes on"
    print_text(f"plan {found.replay_id}: {state}")
    rows = {
        "made": f"{rfc3339(found.created_at)} by {found.requested_by}",
        "why": found.reason,
        "filter": str(found.filter),
        "corrections": str(found.corrections) if found.corrections else "",
        "ended": f"by {found.ended_by}: {found.ended_because}" if found.ended_because else "",
        "sent": f"{found.published} of {found.planned}",
    }
    _print_pairs(rows)
    _print_outcomes(counts, summed(became, Outcome.DROPPED), summed(became, Outcome.SKIPPED))


def _perform(
    job: Job[S],
    settings: Settings,
    scope: str,
    dry_run: bool,
    timeout_sec: float | None,
    json_output: str | None,
    show: Any = None,
) -> S:
    """Runs the job; ends the command here unless all went well."""
    options = RunOptions(scope, dry_run, timeout_sec=timeout_sec, json_output=json_output)
    summary, code = run(perform(job, settings, options))
    if show is not None and json_output != "-":
        show(summary)
    for error in summary.errors:
        say(f"failed: {error.target}: {error.reason}")
    if code:
        raise typer.Exit(code)
    return summary


async def _found(settings: Settings, plan_id: str) -> Plan:
    async with connection(settings.dsn, "replay") as conn:
        return await find_plan(conn, plan_id)


async def _looked(settings: Settings, plan_id: str) -> tuple[Plan, list[Became], bool]:
    async with connection(settings.dsn, "replay") as conn:
        found = await find_plan(conn, plan_id)
        became = await outcomes(conn, found.replay_id)
        return found, became, await is_locked(conn, lock_of(found.replay_id))


def _confirm_all(*, given: bool, yes: bool) -> None:
    if not given:
        raise InvalidInput("no filter was given: name what is meant, or give --all for every open dead letter")
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInput("--all: nobody can be asked here; give --yes as well")
    typer.confirm("Plan a replay of all open dead letters?", abort=True, err=True)


def _said(reason: str) -> str:
    if not reason.strip() or len(reason) > _LONGEST_REASON:
        raise InvalidInput(f"--reason: 1 to {_LONGEST_REASON} characters that say why")
    return reason.strip()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_PATCH + 1)
    except OSError as error:
        raise EnvironmentUnfit(f"--patch: cannot read {path}: {error.strerror}") from error
    if len(text) > _LONGEST_PATCH:
        raise InvalidInput(f"--patch: {path} is larger than {_LONGEST_PATCH} bytes")
    return text


def _rate(text: str | None) -> float:
    if text is None:
        return 0.0
    number, _, unit = text.partition("/")
    try:
        rate = float(number) / _RATE_UNITS[unit or "s"]
    except (ValueError, KeyError):
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise InvalidInput(f"--rate: {text!r} is no rate such as 500/s, 30/m or 10/h")
    return rate


def _seconds(option: str, text: str) -> float:
    try:
        return duration_seconds(text)
    except ValueError as error:
        raise InvalidInput(f"{option}: {error}") from None


def _print_report(report: PlanReport) -> None:
    table = Table("today", "items", "share")
    for forecast, count in sorted(report.by_forecast.items(), key=lambda pair: list(Forecast).index(pair[0])):
        table.add_row(_WORDS[forecast], str(count), f"{100 * count / report.items:.1f} %")
    table.add_row("in all", str(report.items), "")
    print_table(table)
    for title, counts in (
        ("dropped for", report.by_reason),
        ("site", report.by_site),
        ("age", report.by_age),
        ("would fail with", report.failures),
        ("can't be replayed", report.refusals),
    ):
        _print_counts(title, counts)
    for example in report.examples:
        print_text(f"for example {example.provenance}: {example.why}")
    for sample in report.samples:
        print_text(f"corrected {sample.provenance}:")
        for line in sample.diff:
            print_text(line)


def _show_corrections(plan: Plan) -> None:
    """What is going to be changed, before anything is sent."""
    if plan.corrections:
        say(f"corrections, because: {plan.reason}")
    for sample in PlanReport.model_validate(plan.report).samples:
        say("\n".join([f"corrected {sample.provenance}:", *sample.diff]))


def _print_result(summary: ReplaySummary) -> None:
    if summary.replay_id:
        print_text(f"plan {summary.replay_id}: {summary.state.value}")
        outcomes = {one.value: count for one, count in summary.outcomes.items()}
        _print_outcomes(outcomes, summary.dropped_by_reason, summary.skipped_by_reason)


def _print_outcomes(counts: dict[str, int], dropped: dict[str, int], skipped: dict[str, int]) -> None:
    _print_counts("became", counts)
    _print_counts("dropped again for", dropped)
    _print_counts("skipped because", skipped)
    if counts.get(Outcome.DUPLICATE):
        print_text("duplicates changed nothing: their events were persisted already")


def _print_counts(title: str, counts: dict[str, int]) -> None:
    if counts:
        table = Table(title, "items")
        table.columns[1].justify = "right"
        for name, count in counts.items():
            table.add_row(name, str(count))
        print_table(table)


def _print_pairs(rows: dict[str, str]) -> None:
    table = Table("", "", show_header=False)
    for name, text in rows.items():
        if text:
            table.add_row(name, text)
    print_table(table)
