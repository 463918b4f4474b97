"""`bridge gate show|check` and `bridge kpi`: the verdict over a sliding window, and the figures of the last days."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, run, write_json
from bridge.cli.tables import Table, print_table, print_text
from schemas.afterwards import Afterwards, Became
from schemas.errors import InvalidInput
from schemas.gate import Verdict, WindowSums, judge_window
from schemas.raw_event import MAX_INTEGER
from schemas.settings import Settings
from sinks.drops import became_by, summed
from sinks.gate import Day, days, window_sums

# What became of the dropped, in the columns' order; duplicates have their own column, and replays are left out.
_BECAME = (Afterwards.RECOVERED, Afterwards.REPLAYING, Afterwards.DISCARDED, Afterwards.OPEN)

_DIGITS = len(str(MAX_INTEGER))

gate_app = typer.Typer(
    name="gate", help="The verdict over a sliding window, as the worker judges it.", no_args_is_help=True
)

Window = Annotated[
    str | None, typer.Option("--window", metavar="30m", help="How far to look back [BRIDGE_GATE_WINDOW].")
]


def _site_id(text: str) -> int:
    """Reads a site's id, as `gate show` prints its target or alone; raises InvalidInput."""
    number = text.removeprefix("site:")
    if not (number.isascii() and number.isdigit()) or len(number) > _DIGITS or int(number) > MAX_INTEGER:
        raise InvalidInput(f"--site-id: {text!r} is no site's id, such as 7 or site:7")
    return int(number)


SiteId = Annotated[
    int | None,
    typer.Option("--site-id", parser=_site_id, metavar="ID", help="Only this site; 0 is what has no readable site."),
]


Judged = tuple[WindowSums, Verdict, Became]


@gate_app.command()
def show(
    window: Window = None, site_id: SiteId = None, json_output: JsonOutput = None, verbose: Verbose = False
) -> None:
    """Show each site's outcomes and verdict, and what became of the dropped; the exit code is 0."""
    settings = command_settings(verbose=verbose, gate_window=window)
    judged = _judged(settings, site_id)
    if json_output is not None:
        write_json([_document(one) for one in judged], json_output)
    if json_output != "-":
        _print(judged)


@gate_app.command()
def check(
    window: Window = None, site_id: SiteId = None, json_output: JsonOutput = None, verbose: Verbose = False
) -> None:
    """Judge in total and by site, or one site; the exit code is 0 if all pass, else 1."""
    settings = command_settings(verbose=verbose, gate_window=window)
    judged = _judged(settings, site_id)
    failing = [one for one in judged if not one[1].passed]
    if json_output is not None:
        write_json([_document(one) for one in judged], json_output)
    if json_output != "-":
        for sums, verdict, _ in failing:
            print_text(f"{sums.target}: {'; '.join(verdict.reasons)}")
        print_text("gate: FAIL" if failing else "gate: pass")
    raise typer.Exit(1 if failing else 0)


def kpi(
    count: Annotated[int, typer.Option("--days", min=1, max=400, help="How many days, today among them.")] = 7,
    site_id: SiteId = None,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Show the last days: events finished, drops by reason, what became of them, success rate, and the trend."""
    settings = command_settings(verbose=verbose)
    found = run(days(settings.dsn, count, site_id))
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    became = run(became_by(settings.dsn, "day", today - timedelta(days=count - 1), site_id))
    rows = [_day(one, became.get(one.day.isoformat(), {})) for one in found]
    total = _total(found, summed(became))
    if json_output is not None:
        write_json({"days": rows, "total": total}, json_output)
    if json_output != "-":
        _print_days(rows, total)


def _judged(settings: Settings, site_id: int | None) -> list[Judged]:
    seconds = settings.seconds("gate_window")
    if seconds < 60:
        raise InvalidInput("--window: windows are kept by the minute, so that less than 60s can't be judged")
    found = run(window_sums(settings.dsn, seconds))
    wanted = found if site_id is None else [one for one in found if one.target == f"site:{site_id}"]
    if site_id is not None and not wanted:
        wanted = [WindowSums(f"site:{site_id}", 0, 0, 0, 0, 0)]
    # The windows are those of the minutes that began within so long.
    since = (datetime.now(UTC) - timedelta(seconds=seconds)).replace(second=0, microsecond=0) + timedelta(minutes=1)
    became = run(became_by(settings.dsn, "site", since, site_id))
    of = {f"site:{site}": counts for site, counts in became.items()} | {"total": summed(became)}
    return [(one, judge_window(one, settings.gate_limits), of.get(one.target, {})) for one in wanted]


def _became(counts: Mapping[Afterwards, int]) -> dict[str, int]:
    return {one.value: counts.get(one, 0) for one in _BECAME}


def _document(judged: Judged) -> dict[str, Any]:
    sums, verdict, counts = judged
    return sums._asdict() | verdict.model_dump() | {"finished": sums.processed - sums.retried} | _became(counts)


def _print(judged: list[Judged]) -> None:
    columns = ("processed", "finished", "normalized", "retried", "dropped", "duplicates", *_BECAME)
    table = Table("target", *columns, "verdict", "reasons")
    for column in table.columns[1:-2]:
        column.justify = "right"
    for one in judged:
        shown = _document(one)
        word = "pass" if shown["passed"] else "FAIL"
        table.add_row(shown["target"], *(str(shown[name]) for name in columns), word, "; ".join(shown["reasons"]))
    print_table(table)
    print_text(
        "processed: attempts, each retry is one; finished: events, without those that wait for a retry; "
        "dropped: duplicates among them; recovered: replayed to success"
    )


def _rate(well: int, finished: int, duplicates: int) -> float | None:
    """In per cent of what was finished and was no duplicate."""
    return round(100 * well / (finished - duplicates), 3) if finished > duplicates else None


def _with_rates(figures: dict[str, Any], counts: Mapping[Afterwards, int]) -> dict[str, Any]:
    finished, duplicates, became = figures["finished"], figures["duplicate_event_id"], _became(counts)
    well = figures["normalized"]
    rates = {
        "success_rate_pct": _rate(well, finished, duplicates),
        "success_rate_with_replays_pct": _rate(well + became[Afterwards.RECOVERED], finished, duplicates),
    }
    return figures | rates | became


def _day(one: Day, counts: Mapping[Afterwards, int]) -> dict[str, Any]:
    return _with_rates(one._asdict() | {"day": one.day.isoformat()}, counts)


def _total(found: list[Day], counts: Mapping[Afterwards, int]) -> dict[str, Any]:
    return _with_rates({name: sum(getattr(one, name) for one in found) for name in Day._fields[1:]}, counts)


def _print_days(rows: Sequence[dict[str, Any]], total: dict[str, Any]) -> None:
    reasons = Day._fields[5:]
    columns = ("finished", "normalized", "dropped", *reasons, *_BECAME)
    table = Table("day", *columns, "success rate", "change", "with replays")
    for column in table.columns[1:]:
        column.justify = "right"
    before: float | None = None
    for one in (*rows, total | {"day": "total"}):
        rate, mended = one["success_rate_pct"], one["success_rate_with_replays_pct"]
        change = "" if before is None or rate is None or one["day"] == "total" else f"{rate - before:+.3f}"
        table.add_row(one["day"], *(str(one[name]) for name in columns), _per_cent(rate), change, _per_cent(mended))
        before = rate
    print_table(table)
    print_text(
        "finished: events, replays apart; success rate: without duplicates; with replays: what was replayed to success "
        "counts on the day of its drop"
    )


def _per_cent(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.3f} %"
