"""`python -m bench instrumentation`: cost of metrics: CPU seconds an event with and without all metrics, in turn."""

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from bench.rig import mixed, product, stand, tables
from bench.rig.alternating_worker import PORT, SLICE
from bench.rig.publish import publish
from bridge.dev.stack.ports import choose
from bridge.dev.stack.stack import StackAddresses
from sinks.kafka.topics import apply_topics

WORKER = [sys.executable, "-m", "bench.rig.alternating_worker"]
SLICE_SECONDS = 5.0
"""A third of the interval of Prometheus' scrapes and of the worker's backlog checks.

Each slice has one of each, which is more than in production.
"""
WARM_UP = 4
"""Slices at the beginning that are not counted."""
MOST_PCT = 3.0


class Slice(NamedTuple):
    """Some seconds of the worker: whether it was instrumented, and microseconds of CPU an event."""

    there: bool
    cost_us: float


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench instrumentation", description=__doc__)
    parser.add_argument("--events", type=int, default=6_000_000, help="to settle meanwhile; more than enough")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args(words)


async def prepare(addresses: StackAddresses, options: argparse.Namespace) -> None:
    """Publish the events, and create a database for them."""
    settings = stand.settings_of(addresses)
    await apply_topics(settings)
    await publish(settings, mixed.records(options.events, options.seed))
    await product.fresh_schema(addresses.database_url)


def slices(environment: dict[str, str]) -> Iterator[Slice]:
    """Yield a worker's own measurements, from its first events on, until the caller stops.

    Raises RuntimeError when no event is left, or the worker has ended.
    """
    with tempfile.TemporaryFile() as log:
        worker = subprocess.Popen(WORKER, env=os.environ | environment, stdout=subprocess.PIPE, stderr=log)
        try:
            begun = False
            for line in worker.stdout or ():
                # The worker's log is on the same stream.
                told = json.loads(line) if line.startswith(b'{"there"') else None
                if told is None or not (begun or told["events"]):
                    continue
                begun = True
                if not told["events"]:
                    raise RuntimeError("nothing was left to settle: take more --events")
                yield Slice(told["there"], told["cpu_seconds"] / told["events"] * 1e6)
            log.seek(0)
            raise RuntimeError(f"the worker has ended: {log.read().decode()[-4000:]}")
        finally:
            worker.terminate()
            worker.wait(60)


def paired(found: Sequence[Slice]) -> list[tuple[float, float]]:
    """Pair each instrumented slice with the mean of the two bare ones around it, so that a slow drift cancels out."""
    triples = zip(found, found[1:], found[2:], strict=False)
    return [(two.cost_us, (one.cost_us + three.cost_us) / 2) for one, two, three in triples if two.there]


def cost_pct(counted: float, bare: float) -> float:
    return 100 * (counted / bare - 1)


def measure(addresses: StackAddresses, options: argparse.Namespace) -> list[tuple[float, float]]:
    """Return microseconds an event, with and without metrics, pair by pair."""
    asyncio.run(prepare(addresses, options))
    port = choose(asked=None, remembered=None, taken=(), purpose="metrics")
    environment = stand.environment_of(addresses) | {PORT: str(port), SLICE: str(SLICE_SECONDS)}
    found: list[Slice] = []
    for number, one in enumerate(itertools.islice(slices(environment), WARM_UP + 2 * options.pairs + 2)):
        sys.stderr.write(f"{'with' if one.there else 'without'}: {one.cost_us:.2f} us an event\n")
        if number >= WARM_UP:
            found.append(one)
    return paired(found)[: options.pairs]


def show(pairs: Iterable[tuple[float, float]], costs: Sequence[float], median: float) -> None:
    tables.show(
        f"microseconds of CPU an event, slices of {SLICE_SECONDS:g} s",
        ("pair", "with metrics", "without", "cost"),
        [
            (str(number), f"{counted:.2f}", f"{bare:.2f}", f"{cost:+.2f} %")
            for number, ((counted, bare), cost) in enumerate(zip(pairs, costs, strict=True), start=1)
        ],
    )
    print(f"median {median:+.2f} %, from {min(costs):+.2f} to {max(costs):+.2f} %; at most {MOST_PCT:g} % is allowed")


def main(words: list[str]) -> int:
    """Measure; returns 1 if metrics cost more than the limit."""
    options = arguments(words)
    with stand.servers() as addresses:
        pairs = measure(addresses, options)
    costs = [cost_pct(*pair) for pair in pairs]
    median = statistics.median(costs)
    show(pairs, costs, median)
    kept = {"slice_seconds": SLICE_SECONDS, "pairs_us": pairs, "cost_pct": costs, "median_pct": median}
    stand.keep("instrumentation", kept)
    return 0 if median < MOST_PCT else 1
