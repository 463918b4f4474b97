"""`python -m bench report`: writes the stored results of all parts into docs/development/performance.md, as tables and plots."""

import json
import re
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.latency import SHARES, by_rate
from bench.peers.environment import peers_python
from bench.rig import stand, standings, tables
from bench.rig.standings import TITLES

PAGE = Path(__file__).parents[1] / "docs" / "development" / "performance.md"
# The plot of each part's result, by the part's name, with the file.
PLOTS = {"contest": ("throughput", PAGE.with_suffix(".svg")), "latency": ("latency", PAGE.with_name("latency.svg"))}
Result = dict[str, Any]


def main(_words: list[str]) -> int:
    """Write the page; parts without a result keep their text."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(filled(page, results()), encoding="utf-8")
    for name, (kind, output) in PLOTS.items():
        result = stand.RESULTS / f"{name}.json"
        if result.exists():
            script = Path(__file__).parent / "rig" / "plot.py"
            subprocess.run([peers_python(), script, kind, result, output], check=True)
    return 0


def results() -> dict[str, Result]:
    """Return the stored results by the names of their parts."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(stand.RESULTS.glob("*.json"))}


def filled(page: str, found: dict[str, Result]) -> str:
    """Return the page with new text between each part's marks."""
    for name, render in SECTIONS.items():
        if name in found:
            body = "\n".join([f"`{found[name]['command']}`", "", *render(found[name])])
            marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
            page = marks.sub(lambda marked, body=body: f"{marked[1]}\n{body}\n\n{marked[2]}", page)
    return page


def rows(*lines: tuple[object, ...]) -> list[str]:
    """Return a table, its first line the headings; columns after the first are aligned to the right."""
    heading, *others = ["| " + " | ".join(map(str, line)) + " |" for line in lines]
    return [heading, "| --- |" + " ---: |" * (len(lines[0]) - 1), *others]


def contest(result: Result) -> list[str]:
    found = standings.loaded(result["runs"])
    speeds = {name: [run.events_per_second for run in runs] for name, runs in found.items()}
    first = rows(
        ("contestant", "events/s, median", "range", "one worker is … times", "two are", "rows"),
        *(
            (TITLES[name], tables.middle(speeds[name]), tables.spread(speeds[name]), *standings.times(found, name),
             standings.rows(found, name))
            for name, runs in found.items()
        ),
    )  # fmt: skip
    second = rows(
        ("CPU of an event, µs", "worker", "Postgres", "broker", "total", "range", "peak MB"),
        *((TITLES[name], *standings.costs(runs)) for name, runs in found.items()),
    )
    return [*first, "", *second, "", *(f"- {bar}." for bar in standings.bars(found))]


def latency(result: Result) -> list[str]:
    names = [*SHARES, "most", "late p99"]
    lines = [
        (f"{rate:,}", len(runs), *(f"{tables.middle([run[name] for run in runs])} ms" for name in names),
         f"{tables.spread([run['p99'] for run in runs])} ms")
        for rate, runs in by_rate(result["runs"]).items()
    ]  # fmt: skip
    plot = f"![Milliseconds from send to row against the load]({PLOTS['latency'][1].name})"
    page = [plot, "", *rows(("events/s", "runs", *names, "range of p99"), *lines)]
    for rate, stages in result["stages"].items():
        heading = (f"at {int(rate):,} events/s, one run", "median", "p99", "since the send, median", "p99")
        page += [
            "",
            *rows(heading, *((name, *(f"{one:.1f} ms" for one in took.values())) for name, took in stages.items())),
        ]
    return page


def stored(result: Result) -> list[str]:
    rounds, sizes = result["rounds"], dict(result["sizes"])
    number_of_rows = f"{sizes.pop('rows'):,} rows"
    ratios = [one["full"] / one["empty"] for one in rounds]
    lines = [(number, f"{one['empty']:,.0f}", f"{one['full']:,.0f}", f"{ratio:.2f}")
             for number, (one, ratio) in enumerate(zip(rounds, ratios, strict=True), 1)]  # fmt: skip
    table = rows(("round", "events/s, empty", f"events/s, {number_of_rows}", "ratio"), *lines)
    costs = [
        (what, *(tables.middle([one[f"{name}, {where}"] for one in rounds]) for where in ("empty", "full")))
        for name, what in (("cpu us", "CPU of an event, µs, all parties"), ("wal bytes", "WAL of an event, bytes"))
    ]
    heading = (f"bytes of each of {number_of_rows}", "")
    return [
        *table, "", f"Median ratio {statistics.median(ratios):.2f}.", "",
        *rows(("median of the rounds", "empty", number_of_rows), *costs), "",
        *rows(heading, *((what, f"{one:,.0f}") for what, one in sizes.items())),
    ]  # fmt: skip


def gateway(result: Result) -> list[str]:
    lines: list[tuple[object, ...]] = [("what", "the gateway, median", "beside it, median", "ratio, median of rounds")]
    for name, ours, theirs in (
        ("single posts, requests/s; a bare Starlette endpoint", "single", "bare"),
        ("batches of 100, events/s; a bare aiokafka producer", "batches", "producer"),
    ):
        found = [(one[ours], one[theirs]) for one in result["rounds"]]
        medians = [statistics.median(column) for column in zip(*found, strict=True)]
        ratio = statistics.median(a / b for a, b in found)
        lines.append((name, *(f"{one:,.0f}" for one in medians), f"{ratio:.2f}"))
    half = result["half_load"]
    figures = (
        f"{half['rate']:,.0f} requests/s",
        *(f"{half[name]:.1f} ms" for name in ("p50_ms", "p99_ms", "longest_ms")),
    )
    return [*rows(*lines), "", *rows(("single posts at half that load", "p50", "p99", "longest"), figures)]


def scaling(result: Result) -> list[str]:
    lines = [
        (
            workers,
            f"{statistics.median(found):,.0f}",
            f"{min(found):,.0f} to {max(found):,.0f}",
            f"{result['peak_mb'][workers]:,.0f}",
        )
        for workers, found in result["rates"].items()
    ]
    return rows(("workers", "events/s, median", "range", "peak MB of all"), *lines)


def profile(result: Result) -> list[str]:
    return rows(
        ("stage", "CPU of an event, µs"), *((name, f"{one:.2f}") for name, one in result["microseconds"].items())
    )


def dead_letters(result: Result) -> list[str]:
    asked = [
        (name, f"{statistics.median(taken):,.0f} ms", f"{max(taken):,.0f} ms")
        for name, taken in result["milliseconds"].items()
    ]
    heading = (f"{result['rows']:,} open dead letters, {result['rounds']} rounds", "median", "longest")
    http = [
        (name, f"{statistics.median(taken['http']):,.0f} ms", f"{result['http']['ratios'][name]:.2f}")
        for name, taken in result["http"]["milliseconds"].items()
    ]
    return [*rows(heading, *asked), "", *rows(("through the API", "median", "of the same asked directly"), *http)]


def replay(result: Result) -> list[str]:
    killed = result["killed"]
    return rows(
        (f"replay of {result['items']:,}", "figure"),
        ("the plan, with its dry run", f"{result['plan_seconds']:.1f} s"),
        ("sent, while a worker settles them", f"{result['replay_rate']:,.0f} items/s"),
        (
            f"a second one, killed {killed['kills']} times: different events among {killed['events']:,} rows",
            f"{killed['distinct']:,}",
        ),
        ("and the audit", "balanced" if killed["balanced"] else "; ".join(killed["problems"])),
    )


def instrumentation(result: Result) -> list[str]:
    with_metrics, without = (statistics.median(column) for column in zip(*result["pairs_us"], strict=True))
    costs = result["cost_pct"]
    figures = (
        f"{len(costs)} pairs of {result['slice_seconds']:g} s each",
        *(f"{one:.2f}" for one in (with_metrics, without)),
        f"{result['median_pct']:+.2f} %",
        f"{min(costs):+.2f} to {max(costs):+.2f} %",
    )
    headings = ("runs", "CPU us an event, with metrics", "without", "cost, median of pairs", "range")
    return rows(headings, figures)


def machine(result: Result) -> list[str]:
    return rows(("machine and versions", ""), *result["machine"].items())


SECTIONS: dict[str, Callable[[Result], list[str]]] = {
    "contest": lambda result: [*contest(result), "", *machine(result)],
    "latency": latency,
    "gateway": gateway,
    "stored": stored,
    "scaling": scaling,
    "profile": profile,
    "instrumentation": instrumentation,
    "dead_letters": dead_letters,
    "replay": replay,
}
