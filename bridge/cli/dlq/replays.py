"""Shared parts of the commands on replays: find the plan, run a job, exit with the job's code, print results.

A plan is the stored, exact set of dead letters that a replay sends.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, NoReturn

import typer

from bridge.cli.jobs import end_with_result
from bridge.jobs.frame import Job, RunOptions, S
from bridge.output.tables import Table, print_counts, print_table, print_text, right
from schemas.config.settings import Settings
from schemas.documents.replay import Forecast, Outcome, Plan, PlanReport, ReplaySummary
from sinks.postgres.connection import connection
from sinks.postgres.replays.plans import find_plan
from telemetry.gc_tuning import search_rarely

PlanId = Annotated[str, typer.Argument(metavar="PLAN", help="The plan's id, or a prefix of it.")]

_WORDS = {
    Forecast.PASSES: "would pass",
    Forecast.FAILS_THE_SAME: "would fail the same way",
    Forecast.FAILS_OTHERWISE: "would fail otherwise",
    Forecast.PERSISTED: "persisted meanwhile",
    Forecast.COPY: "copies of others in the plan",
    Forecast.REFUSED: "can't be replayed",
}


def end_replay(
    job: Job[S], settings: Settings, options: RunOptions, show: Callable[[S], None], *, partial: bool = False
) -> NoReturn:
    """Like `end_with_result`, for a job on a set of dead letters, which can be large."""
    search_rarely()
    end_with_result(job, settings, options, show, partial=partial)


async def found_plan(settings: Settings, plan_id: str) -> Plan:
    """Return the stored plan whose id begins with `plan_id`; raises InvalidInput unless there is exactly one."""
    async with connection(settings.dsn, "replay") as conn:
        return await find_plan(conn, plan_id)


def print_report(report: PlanReport) -> None:
    """Print what a plan (the set of dead letters to replay) contains, and what today's code would do with each."""
    table = Table("today", "items", "share")
    for forecast, count in sorted(report.by_forecast.items(), key=lambda pair: list(Forecast).index(pair[0])):
        table.add_row(_WORDS[forecast], count, f"{100 * count / report.items:.1f} %")
    table.add_row("in all", report.items, "")
    print_table(table)
    for title, counts in (
        ("dropped for", report.by_reason),
        ("site", report.by_site),
        ("age", report.by_age),
        ("would fail with", report.failures),
        ("can't be replayed", report.refusals),
    ):
        print_counts(title, counts)
    for example in report.examples:
        print_text(f"for example {example.provenance}: {example.why}")
    print_text(*corrected_lines(report))
    if report.replaced:
        _print_replaced(report)
    for warning in report.warnings:
        print_text(f"warning: {warning}")


def corrected_lines(report: PlanReport) -> Iterator[str]:
    """Yield the samples of what a correction changes."""
    for sample in report.samples:
        yield f"corrected {sample.provenance}:"
        yield from sample.diff


def _print_replaced(report: PlanReport) -> None:
    table = Table("replaces", *right("items"), "site", "org", "by")
    for one in report.replaced:
        table.add_row(f"{one.field}: {one.value}", one.items, one.site_id or "", one.org_id or "", one.new)
    print_table(table)


def print_result(summary: ReplaySummary) -> None:
    """Print the outcomes of a plan's items."""
    if summary.replay_id:
        print_text(f"plan {summary.replay_id}: {summary.state.value}")
        outcomes = {one.value: count for one, count in summary.outcomes.items()}
        print_outcomes(outcomes, summary.dropped_by_reason, summary.skipped_by_reason)


def print_outcomes(counts: dict[str, int], dropped: dict[str, int], skipped: dict[str, int]) -> None:
    """Print the dead letters of a replay by outcome, with the reasons why events were dropped again or skipped."""
    print_counts("became", counts)
    print_counts("dropped again for", dropped)
    print_counts("skipped because", skipped)
    if counts.get(Outcome.DUPLICATE):
        print_text("duplicates changed nothing: their events are persisted already")
