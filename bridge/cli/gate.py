"""`bridge gate show|check` and `bridge kpi`: the verdict over a sliding window, and the figures of the last days."""

from typing import Annotated, Any

import typer
from rich.table import Table

from bridge.cli.common import JsonOutput, Verbose, command_settings, run, write_json
from bridge.cli.tables import print_table, print_text
from schemas.errors import InvalidInput
from schemas.gate import Verdict, WindowSums, judge_window
from schemas.settings import Settings
from sinks.gate import Day, days, window_sums

gate_app = typer.Typer(
    name="gate", help="The verdict over a sliding window, as the worker judges it.", no_args_is_help=True
)

Window = Annotated[
    str | None, typer.Option("--window", metavar="30m", help="How far to look back [BRIDGE_GATE_WINDOW].")
]
SiteId = Annotated[int | None, typer.Option("--site-id", min=0, help="Only this site; 0 is what has no readable site.")]


@gate_app.command()
def show(
    window: Window = None, site_id: SiteId = None, json_output: JsonOutput = None, verbose: Verbose = False
) -> None:
    """Show each site's outcomes and verdict; the exit code is 0."""
    settings = command_settings(verbose=verbose, gate_window=window)
    judged = _judged(settings, site_id)
    if json_output is not None:
        write_json([_document(sums, verdict) for sums, verdict in judged], json_output)
    if json_output != "-":
        _print(judged)


@gate_app.command()
def check(
    window: Window = None, site_id: SiteId = None, json_output: JsonOutput = None, verbose: Verbose = False
) -> None:
    """Judge in total and by site, or one site; the exit code is 0 if all pass, else 1."""
    settings = command_settings(verbose=verbose, gate_window=window)
    judged = _judged(settings, site_id)
    failing = [(sums, verdict) for sums, verdict in judged if not verdict.passed]
    if json_output is not None:
        write_json([_document(sums, verdict) for sums, verdict in judged], json_output)
    if json_output != "-":
        for sums, verdict in failing:
            print_text(f"{sums.target}: {'; '.join(verdict.reasons)}")
        print_text("gate: FAIL" if failing else "gate: pass")
    raise typer.Exit(1 if failing else 0)


def kpi(
    count: Annotated[int, typer.Option("--days", min=1, max=400, help="How many days, today among them.")] = 7,
    site_id: SiteId = None,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Show the last days: events finished, drops by reason, success rate (duplicates apart), and the trend."""
    settings = command_settings(verbose=verbose)
    found = run(days(settings.dsn, count, site_id))
    if json_output is not None:
        write_json({"days": [_day(one) for one in found], "total": _total(found)}, json_output)
    if json_output != "-":
        _print_days(found)


def _judged(settings: Settings, site_id: int | None) -> list[tuple[WindowSums, Verdict]]:
    if settings.seconds("gate_window") < 60:
        raise InvalidInput("--window: windows are kept by the minute, so that less than 60s can't be judged")
    found = run(window_sums(settings.dsn, settings.seconds("gate_window")))
    wanted = found if site_id is None else [one for one in found if one.target == f"site:{site_id}"]
    if site_id is not None and not wanted:
        wanted = [WindowSums(f"site:{site_id}", 0, 0, 0, 0, 0)]
    return [(one, judge_window(one, settings.gate_limits)) for one in wanted]


def _document(sums: WindowSums, verdict: Verdict) -> dict[str, Any]:
    return sums._asdict() | verdict.model_dump()


def _print(judged: list[tuple[WindowSums, Verdict]]) -> None:
    table = Table("target", "processed", "normalized", "retried", "dropped", "duplicates", "verdict", "reasons")
    for column in table.columns[1:6]:
        column.justify = "right"
    for sums, verdict in judged:
        word = "pass" if verdict.passed else "FAIL"
        table.add_row(sums.target, *(str(one) for one in sums[1:]), word, "; ".join(verdict.reasons))
    print_table(table)


def _success(finished: int, normalized: int, duplicates: int) -> float | None:
    """In per cent of what was finished and was no duplicate."""
    return round(100 * normalized / (finished - duplicates), 3) if finished > duplicates else None


def _day(one: Day) -> dict[str, Any]:
    rate = _success(one.finished, one.normalized, one.duplicate_event_id)
    return one._asdict() | {"day": one.day.isoformat(), "success_rate_pct": rate}


def _total(found: list[Day]) -> dict[str, Any]:
    sums = {name: sum(getattr(one, name) for one in found) for name in Day._fields[1:]}
    return sums | {"success_rate_pct": _success(sums["finished"], sums["normalized"], sums["duplicate_event_id"])}


def _print_days(found: list[Day]) -> None:
    reasons = Day._fields[5:]
    table = Table("day", "finished", "normalized", "dropped", *reasons, "success rate", "change")
    for column in table.columns[1:]:
        column.justify = "right"
    before: float | None = None
    for one in found:
        rate = _day(one)["success_rate_pct"]
        change = "" if before is None or rate is None else f"{rate - before:+.3f}"
        figures = (one.finished, one.normalized, one.dropped, *(getattr(one, reason) for reason in reasons))
        table.add_row(one.day.isoformat(), *map(str, figures), "" if rate is None else f"{rate:.3f} %", change)
        before = rate
    total = _total(found)
    figures = (total["finished"], total["normalized"], total["dropped"], *(total[reason] for reason in reasons))
    rate = total["success_rate_pct"]
    table.add_row("total", *map(str, figures), "" if rate is None else f"{rate:.3f} %", "")
    print_table(table)
