"""The result of a contest: figures of each run, ratios within the rounds, the bars, and the tables."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bench.peers.catalogue import PEERS
from bench.rig import tables
from bench.rig.usage import Cost


class Ours(NamedTuple):
    """A way to run this product: the number of worker processes, and whether the native module reads ordinary events."""

    title: str
    workers: int = 1
    native: bool = True


class Limit(NamedTuple):
    """A limit: the way of `rig/limit.py`, and the number of connections."""

    title: str
    way: str
    connections: int


OURS = {
    "product": Ours("Bridge, one worker"),
    "python": Ours("Bridge, one, Python alone", native=False),
    "product-2": Ours("Bridge, two workers", workers=2),
}
LIMITS = {
    "limit": Limit("limit, 1 connection", "python", 1),
    "limit-2": Limit("limit, 2 connections", "python", 2),
    "native-limit": Limit("native limit, 1 conn.", "native", 1),
    "native-limit-2": Limit("native limit, 2 conn.", "native", 2),
}
TITLES = {name: one.title for group in (OURS, LIMITS, PEERS) for name, one in group.items()}
LEAST_OF_LIMIT = 0.5
MOST_OF_PYTHON = 0.65
LEAST_NATIVELY = 0.95
MOST_MB = 400.0


@dataclass(frozen=True)
class Figures:
    """One run of one contestant in a round.

    `cpu_us` is of each event. `whole` is whether all rows were there and no other; None for a limit, or a peer that took
    too long. `natively` is the share of the records that the native module has read, where it is known.
    """

    round: int
    events_per_second: float
    cpu_us: Cost
    peak_mb: float
    whole: bool | None = None
    natively: float | None = None


Found = Mapping[str, Sequence[Figures]]


def loaded(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[Figures]]:
    """Return the figures from a stored result."""
    return {
        name: [Figures(**{**one, "cpu_us": Cost(**one["cpu_us"])}) for one in found] for name, found in runs.items()
    }


class Bar(NamedTuple):
    """What a figure has to be."""

    text: str
    figure: float
    limit: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit

    def __str__(self) -> str:
        wanted = "at least" if self.at_least else "at most"
        return f"{'met' if self.met else 'MISSED'}: {self.text} {self.figure:.2f}, {wanted} {self.limit:g}"


def ratios(found: Found, ours: str, theirs: str) -> list[float]:
    """Return how many times faster the first is, in each round in which both ran."""
    by_round = {run.round: run.events_per_second for run in found[theirs]}
    return [run.events_per_second / by_round[run.round] for run in found[ours] if run.round in by_round]


def cpu_ratios(found: Found, ours: str, theirs: str) -> list[float]:
    """Return the share of the second's total CPU that the first takes, in each round in which both ran."""
    by_round = {run.round: run.cpu_us.total for run in found[theirs]}
    return [run.cpu_us.total / by_round[run.round] for run in found[ours] if run.round in by_round]


def bars(found: Found) -> list[Bar]:
    """Return the bars of those who ran; a peer that uses both cores is compared with two workers."""
    return [*_own_bars(found), *_peers_bars(found)]


def _own_bars(found: Found) -> Iterator[Bar]:
    if "product" in found and "python" in found:
        share = statistics.median(cpu_ratios(found, "product", "python"))
        yield Bar("total CPU, of the Python path's", share, MOST_OF_PYTHON, at_least=False)
    if "product" in found and "limit" in found:
        yield Bar("one worker, of the limit", statistics.median(ratios(found, "product", "limit")), LEAST_OF_LIMIT)
    if natively := [run.natively for run in found.get("product", ()) if run.natively is not None]:
        yield Bar("share of the records read natively", min(natively), LEAST_NATIVELY)
    if "product-2" in found:
        most = max(run.peak_mb for run in found["product-2"])
        yield Bar("peak MB of two workers", most, MOST_MB, at_least=False)


def _peers_bars(found: Found) -> Iterator[Bar]:
    for name, peer in PEERS.items():
        if name in found and peer.against in found:
            times = statistics.median(ratios(found, peer.against, name))
            yield Bar(f"{TITLES[peer.against]}, times {peer.title}", times, peer.bar)


def report(found: Found) -> None:
    """Print the tables and the bars."""
    tables.show(
        "one topic, one table each: events/s, and how many times faster we are (medians)",
        ("contestant", "events/s", "range", "one is", "two are", "rows"),
        [
            (TITLES[name], tables.middle(speeds), tables.spread(speeds), *times(found, name), rows(found, name))
            for name, runs in found.items()
            for speeds in [[run.events_per_second for run in runs]]
        ],
    )
    tables.show(
        "CPU of an event in microseconds, and the worker's memory (medians)",
        ("contestant", "worker", "Postgres", "broker", "total", "range", "peak MB"),
        [(TITLES[name], *costs(runs)) for name, runs in found.items()],
    )
    if "product" in found and "python" in found:
        shares = cpu_ratios(found, "product", "python")
        print(f"total CPU of the native path: {tables.middle(shares, '.2f')} of the Python path's "
              f"({tables.spread(shares, '.2f')})")  # fmt: skip
    for bar in bars(found):
        print(bar)


def times(found: Found, name: str) -> list[str]:
    """Return how many times as fast as the contestant one worker is, and two are."""
    return [
        f"{statistics.median(ratios(found, ours, name)):.2f}" if ours in found else ""
        for ours in ("product", "product-2")
    ]


def costs(runs: Sequence[Figures]) -> list[str]:
    """Return the medians of the CPU of each party and of all, the range of the latter, and the median of the memory."""
    parties = [tables.middle(column, ".1f") for column in zip(*(run.cpu_us for run in runs), strict=True)]
    totals = [run.cpu_us.total for run in runs]
    memory = tables.middle(run.peak_mb for run in runs)
    return [*parties, tables.middle(totals, ".1f"), tables.spread(totals, ".0f"), memory]


def rows(found: Found, name: str) -> str:
    """Return whether the rows were the expected ones, in all rounds; nothing for a limit, which keeps none."""
    states = {run.whole for run in found[name]}
    if False in states:
        return "WRONG"
    if None in states:
        return "not all" if name in PEERS else ""
    return "exact"
