"""`bridge gate show|check` and `bridge kpi`: the gate's verdict over a sliding window, and the counts of the last days.

The gate is the rule that says whether the share of dropped and retried events is acceptable. Its verdict is pass or
fail. A window holds the counts of one site and one minute.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, run, write_result
from bridge.cli.lazy import group
from bridge.output.tables import Table, print_table, print_text, right
from schemas.config.settings import Settings
from schemas.documents.afterwards import Afterwards
from schemas.documents.gate import Verdict, WindowSums
from schemas.errors import InvalidInput
from schemas.events.raw_event import MAX_INTEGER
from schemas.reasons import DroppedReason
from sinks.postgres.audit.drops import Drops, drops_by, summed
from sinks.postgres.gate.verdicts import days, window_sums
from sinks.postgres.stats.server import MOST_WAITING, WaitingScript, waiting_scripts
from streams.rules.gate import judge_window

# Later outcomes of dropped events, in the order of the columns. Duplicates have their own column; replays have none.
_BECAME = (Afterwards.RECOVERED, Afterwards.SENT_AGAIN, Afterwards.REPLAYING, Afterwards.DISCARDED, Afterwards.OPEN)
_NO_DROPS = Drops(Counter(), Counter())
_MOST_SITES = 50
"""Most rows for sites without a window; further sites share one row. A producer can invent any number of sites."""

_MOST_WAITING = 10

_DIGITS = len(str(MAX_INTEGER))

gate_app = group("gate", "Show or check the gate's verdict over a sliding window, by the worker's rule.")

Window = Annotated[
    str | None, typer.Option("--window", metavar="30m", help="Length of the window up to now [BRIDGE_GATE_WINDOW].")
]


def _site_id(text: str) -> int:
    """Parse a site's id, alone or in the form that `gate show` prints; raises InvalidInput."""
    number = text.removeprefix("site:")
    if not (number.isascii() and number.isdigit()) or len(number) > _DIGITS or int(number) > MAX_INTEGER:
        raise InvalidInput(f"--site-id: {text!r} is not a site's id; give a number such as 7, or site:7")
    return int(number)


SiteId = Annotated[
    int | None,
    typer.Option(
        "--site-id",
        parser=_site_id,
        metavar="ID",
        help="Only this site, registered or not; 0 means events that name no site.",
    ),
]


Judged = tuple[WindowSums, Verdict, Drops]


@gate_app.command()
def show(
    window: Window = None, site_id: SiteId = None, json_output: JsonOutput = None, verbose: Verbose = False
) -> None:
    """Show outcomes and verdict of each site, what became of dropped events, and what waits. The exit code is 0."""
    settings = command_settings(verbose=verbose, gate_window=window)
    judged = _judged(settings, site_id)
    if write_result([_document(one) for one in judged], json_output):
        _print(judged)
        _print_waiting(run(waiting_scripts(settings.dsn, _MOST_WAITING, site_id)))


@gate_app.command()
def check(
    window: Window = None, site_id: SiteId = None, json_output: JsonOutput = None, verbose: Verbose = False
) -> None:
    """Judge all events together and each site, or one site; the exit code is 0 if all verdicts are pass, else 1."""
    settings = command_settings(verbose=verbose, gate_window=window)
    judged = _judged(settings, site_id)
    failing = [one for one in judged if not one[1].passed]
    if write_result([_document(one) for one in judged], json_output):
        for sums, verdict, _ in failing:
            print_text(f"{sums.target}: {'; '.join(verdict.reasons)}")
        print_text("gate: FAIL" if failing else "gate: pass")
    raise typer.Exit(1 if failing else 0)


def kpi(
    count: Annotated[int, typer.Option("--days", min=1, max=400, help="Number of days, including today.")] = 7,
    site_id: SiteId = None,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Show the last days: finished events, drops by reason and their later outcomes, success rate, and its change."""
    settings = command_settings(verbose=verbose)
    found = {one.day.isoformat(): (one.normalized, one.retried) for one in run(days(settings.dsn, count, site_id))}
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    drops = run(drops_by(settings.dsn, "day", today - timedelta(days=count - 1), site_id))
    rows = [
        {"day": day} | _figures(*found.get(day, (0, 0)), drops.get(day, _NO_DROPS))
        for day in sorted(found.keys() | drops.keys())
    ]
    normalized, retried = (sum(one[place] for one in found.values()) for place in (0, 1))
    total = _figures(normalized, retried, summed(drops.values()))
    if write_result({"days": rows, "total": total}, json_output):
        _print_days(rows, total)


def _judged(settings: Settings, site_id: int | None) -> list[Judged]:
    seconds = settings.gate_window.seconds
    if seconds < 60:
        raise InvalidInput("--window: the counts are by minute, so that the least is 60s")
    sums = {one.target: one for one in run(window_sums(settings.dsn, seconds))}
    judged = set(sums) if site_id is None else {f"site:{site_id}"}
    # A minute belongs to the period if it began within the period.
    since = (datetime.now(UTC) - timedelta(seconds=seconds)).replace(second=0, microsecond=0) + timedelta(minutes=1)
    of = {f"site:{site}": drops for site, drops in run(drops_by(settings.dsn, "site", since, site_id)).items()}
    total = summed(of.values())
    of = _fewer(of, judged)
    shown = [sums.get(target, WindowSums(target, 0, 0, 0, 0, 0)) for target in sorted(judged | of.keys(), key=_place)]
    of["total"] = total
    return [(one, judge_window(one, settings.gate_limits), of.get(one.target, _NO_DROPS)) for one in shown]


def _place(target: str) -> tuple[bool, bool, int]:
    """Return the sort key of a printed row (`target`): sites by number, then the row `others`, then the total."""
    number = target.removeprefix("site:")
    return target == "total", not number.isdigit(), int(number) if number.isdigit() else 0


def _fewer(of: dict[str, Drops], judged: set[str]) -> dict[str, Drops]:
    """Keep the drops of sites that the gate judges and of the sites with the most drops; sum up all others."""
    apart = sorted(of.keys() - judged, key=lambda target: (-of[target].events, _place(target)))
    others = [of[target] for target in apart[_MOST_SITES:]]
    kept = {target: drops for target, drops in of.items() if target not in apart[_MOST_SITES:]}
    return kept | ({"others": summed(others)} if others else {})


def _became(drops: Drops) -> dict[str, int]:
    return {one.value: drops.became[one] for one in _BECAME}


def _document(judged: Judged) -> dict[str, Any]:
    """Return the counts of one row: a site, or the total of all sites.

    `dropped` and `duplicates` come from the windows (counts of each minute), and the gate judges them. `drops` come
    from the ledger (the table of failed events), by the sites that the dead letters name.
    """
    sums, verdict, drops = judged
    figures = {
        "finished": sums.processed - sums.retried,
        "drops": drops.events,
        "drops_duplicates": drops.reasons[DroppedReason.DUPLICATE_EVENT_ID],
    }
    return sums._asdict() | verdict.model_dump() | figures | _became(drops)


def _print(judged: list[Judged]) -> None:
    shown = [_document(one) for one in judged]
    columns = ("processed", "finished", "normalized", "retried", "dropped", "duplicates")
    table = Table("target", *right(*columns), "verdict", "reasons")
    for one in shown:
        if one["processed"] or one["target"] == "total":
            word = "pass" if one["passed"] else "FAIL"
            table.add_row(one["target"], *(one[name] for name in columns), word, "; ".join(one["reasons"]))
    print_table(table)
    print_text(
        "processed: attempts, each retry is one; finished: events, without those that wait for a retry;",
        "dropped: duplicates among them; site:0: what names no site that was registered then",
    )
    if not any(one["drops"] for one in shown):
        return
    became = ("drops", "drops_duplicates", *_BECAME)
    table = Table("drops of", *right("dropped", "duplicates", *_BECAME))
    for one in shown:
        if one["drops"]:
            table.add_row(one["target"], *(one[name] for name in became))
    print_text("", "What became of the dropped, by the site that the dead letter names, registered or not:")
    print_table(table)
    print_text(
        "recovered: a replay became a row; sent_again: its event is the row of another raw event; site:0: names no site"
    )


def _print_waiting(scripts: Sequence[WaitingScript]) -> None:
    """Print the events that wait for a retry now, however old, by script, site, organisation and error class."""
    if not scripts:
        return
    table = Table(*right("waiting for a retry"), "script", "site", "org", "error class", "since", "attempts")
    for one in scripts:
        whose = (one.script_id, one.site_id, one.org_id)
        table.add_row(one.waiting, *whose, one.error_class, one.first_failed_at, one.attempts)
    print_text("")
    print_table(table)
    if scripts[0].looked_at >= MOST_WAITING:
        print_text(f"only the {MOST_WAITING} events that are due first are counted")


def _rate(well: int, of: int) -> float | None:
    """Return the rate in percent; None if `of` is 0."""
    return round(100 * well / of, 3) if of > 0 else None


def _figures(normalized: int, retried: int, drops: Drops) -> dict[str, Any]:
    """Combine the counts of normalised and retried events with the drops and their later outcomes.

    The drops come from the ledger (the table of failed events). Each finished event counts once.
    """
    reasons = {one.value: drops.reasons[one] for one in DroppedReason}
    others = {reason: count for reason, count in sorted(drops.reasons.items()) if reason not in reasons}
    finished = normalized + drops.events
    judged = finished - drops.reasons[DroppedReason.DUPLICATE_EVENT_ID]
    # An event that was sent again counts once, as the row of its other raw event.
    events = judged - drops.became[Afterwards.SENT_AGAIN]
    counts = {"finished": finished, "normalized": normalized, "retried": retried, "dropped": drops.events}
    rates = {
        "success_rate_pct": _rate(normalized, judged),
        "success_rate_with_replays_pct": _rate(normalized + drops.became[Afterwards.RECOVERED], events),
    }
    return counts | reasons | ({"other_reasons": others} if others else {}) | rates | _became(drops)


def _print_days(rows: Sequence[dict[str, Any]], total: dict[str, Any]) -> None:
    columns = ("finished", "normalized", "dropped", *DroppedReason, *_BECAME)
    table = Table("day", *right(*columns, "success rate", "change", "with replays"))
    before: float | None = None
    for one in (*rows, total | {"day": "total"}):
        rate, mended = one["success_rate_pct"], one["success_rate_with_replays_pct"]
        change = "" if before is None or rate is None or one["day"] == "total" else f"{rate - before:+.3f}"
        table.add_row(one["day"], *(one[name] for name in columns), _per_cent(rate), change, _per_cent(mended))
        before = rate
    print_table(table)
    if others := total.get("other_reasons"):
        counts = ", ".join(f"{reason}: {count}" for reason, count in others.items())
        print_text(f"dropped for reasons that this release does not know: {counts}")
    print_text(
        "finished: raw events, replays apart; dropped: of the site that the dead letter names;",
        "recovered: a replay became a row; sent_again: its event is the row of another raw event, and counts there only;",
        "normalized + recovered: the rows, `bridge audit` calls them persisted; recovered counts on the day of the drop;",
        "success rate: normalized, of the finished without duplicates; with replays: rows, of these without sent_again",
    )


def _per_cent(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.3f} %"
