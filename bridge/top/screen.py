"""The numbers of `bridge top` as tables: problems first, and only a few rows of each table."""

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from bridge.output.tables import Table, right
from bridge.top.figures import Figures, Glimpse

MOST_ROWS = 8


def screen(found: Figures | Glimpse, *, window: str, trouble: str = "") -> RenderableType:
    """Return the whole screen of `bridge top`; `trouble` is the reason why the numbers are not current."""
    parts: list[RenderableType] = []
    if trouble:
        parts.append(Text(f"not renewed: {trouble}", style="bold red"))
    if found.trouble:
        parts.append(Text(f"not shown: {found.trouble}", style="bold red"))
    if isinstance(found, Glimpse):
        return Group(*parts, Text(f"lag in records, by the offsets committed to Kafka: {_lag(found.lag)}"))
    parts += [Text(line, style=style) for line, style in _headlines(found)]
    # Failures come first, because a small terminal only shows the first lines.
    parts += [_windows(found, window), _retries(found), _workers(found)]
    return Group(*parts)


def _headlines(found: Figures) -> list[tuple[str, str]]:
    rates = "  ".join(f"{name} {found.per_second.get(name, 0.0):,.1f}" for name in ("normalized", "retried", "dropped"))
    lag = "unknown" if found.trouble else _lag(found.lag)
    letters = "  ".join(f"{reason} {count:,}" for reason, count in found.dead_letters.items()) or "none"
    brake = found.brake
    word = f"ON: {brake.reason}" if brake.engaged else "released" if brake.released else "off"
    lines = [
        (f"a second: {rates}", ""),
        (f"lag in records: {lag}", ""),
        (f"dead letters open: {letters}", ""),
        (f"brake: {word}", "bold red" if brake.engaged else "yellow" if brake.released else ""),
    ]
    if found.replays:
        lines.append(("replays: " + "  ".join(f"{state} {count}" for state, count in found.replays.items()), ""))
    lines += [(f"held: {place}: {why}", "red") for place, why in sorted(found.held.items())[:MOST_ROWS]]
    return lines


def _lag(lag: dict[str, int]) -> str:
    return "  ".join(f"{topic} {count:,}" for topic, count in lag.items() if count) or "none"


def _table(title: str, *columns: str) -> Table:
    return Table(columns[0], *right(*columns[1:]), title=title, title_justify="left")


def _workers(found: Figures) -> Table:
    table = _table("workers", "worker", "partitions", "lanes", "at work", "attempts/s")
    for one in sorted(found.workers, key=lambda one: -one.per_second)[:MOST_ROWS]:
        table.add_row(one.worker, *_numbers(one.partitions, one.lanes, one.busy), f"{one.per_second:,.1f}")
    return table


def _retries(found: Figures) -> Table:
    table = _table("retries", "tier", "waiting", "due", "longest due")
    for one in found.tiers:
        longest = f"{one.longest_due_seconds:,.0f} s" if one.due else ""
        table.add_row(one.tier, *_numbers(one.waiting, one.due), longest)
    return table


def _windows(found: Figures, window: str) -> Table:
    columns = ("target", "processed", "normalized", "retried", "dropped", "duplicates", "verdict")
    failing = sum(not verdict.passed for _, verdict in found.windows)
    left_out = len(found.windows) - MOST_ROWS
    count = f": {failing} of {len(found.windows)} targets fail" if found.windows else ""
    table = _table(f"the last {window}{count}" + (f", {left_out} are not shown" if left_out > 0 else ""), *columns)
    # First the total, then the targets that fail, then the busiest.
    rows = sorted(found.windows, key=lambda one: (one[0].target != "total", one[1].passed, -one[0].processed))
    for sums, verdict in rows[:MOST_ROWS]:
        word = Text("pass") if verdict.passed else Text("FAIL", style="bold red")
        table.add_row(sums.target, *_numbers(*sums[1:]), word)
    return table


def _numbers(*numbers: Any) -> list[str]:
    return [f"{number:,}" for number in numbers]
