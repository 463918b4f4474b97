"""`python -m bench latency`: time from the send to a commit that is visible to another connection, at steady rates.

Each rate is measured in several runs, which are in random order. Then one more run of each shows where the time goes.
"""

import argparse
import asyncio
import gc
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import uvloop

from bench.rig import mixed, product, stand, tables
from bench.rig.stages import STAGES, Notes, Sent, Visible, milliseconds, visible_at
from bench.rig.timed_worker import NOTES
from bridge.dev.stack.stack import StackAddresses
from schemas.config.settings import Settings
from sinks.kafka.producer import make_producer
from sinks.kafka.topics import apply_topics

LOOK_SECONDS = 0.004
TICK_SECONDS = 0.002
START_SECONDS = 60.0
DRAIN_SECONDS = 60.0
SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
BARS = {1_000: {"p50": 40.0, "p99": 90.0}, 10_000: {"p99": 150.0}}
"""The most milliseconds at a rate: of the median of the runs."""
TIMED_WORKER = [sys.executable, "-m", "bench.rig.timed_worker"]

Seen = dict[int, list[Visible]]


class Measured(NamedTuple):
    """One run: the events, when each place became visible, and how late the sender was, in sorted milliseconds."""

    sent: list[Sent]
    seen: Seen
    late: list[float]

    def percentiles(self) -> dict[str, float]:
        """Return milliseconds from the send to the row by name, and how late the sender was."""
        found = sorted((visible_at(one, self.seen) - one.produced) * 1000 for one in self.sent)
        return percentiles(found) | {"most": found[-1], "late p99": percentiles(self.late)["p99"]}


def percentiles(ordered: Sequence[float]) -> dict[str, float]:
    return {name: ordered[int(len(ordered) * share)] for name, share in SHARES.items()}


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench latency", description=__doc__)
    parser.add_argument("--rates", type=int, nargs="+", default=[100, 1000, 3000, 10_000], help="events a second")
    parser.add_argument("--runs", type=int, default=5, help="of each rate")
    parser.add_argument("--seconds", type=int, default=20, help="how long each run is measured")
    parser.add_argument("--warm-up", type=int, default=5, help="seconds before that")
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args(words)


class Sender:
    """Sends a load, made beforehand, at a rate, and notes when each event was sent and acknowledged."""

    def __init__(self, settings: Settings, rate: int, seconds: float, seed: int) -> None:
        self._settings = settings
        self._rate = rate
        self._load = list(mixed.records(round(rate * seconds), seed))
        self._produced: list[float] = []
        self._acknowledged = [0.0] * len(self._load)
        self.late: list[float] = []

    async def run(self, warm_up: float) -> list[Sent]:
        """Return the events that were sent after the warm-up."""
        topic = self._settings.topics.raw
        futures: list[asyncio.Future[Any]] = []
        # Otherwise the collector stops this process for some milliseconds, to look at the load again and again.
        gc.freeze()
        async with make_producer(self._settings, enable_idempotence=True, linger_ms=5) as producer:
            begun = time.monotonic()
            for number, (key, value, headers) in enumerate(self._load):
                due = begun + number / self._rate
                if (now := time.monotonic()) < due:
                    await asyncio.sleep(max(TICK_SECONDS, due - now))
                    now = time.monotonic()
                self._produced.append(now)
                self.late.append((now - due) * 1000)
                future = await producer.send(topic, value, key=key, headers=list(headers))
                future.add_done_callback(lambda _, number=number: self._acknowledge(number))
                futures.append(future)
            acknowledged = await asyncio.gather(*futures)
        first = round(warm_up * self._rate)
        self.late = sorted(self.late[first:])
        rows = zip(self._produced, self._acknowledged, acknowledged, strict=True)
        return [Sent(produced, at, one.partition, one.offset) for produced, at, one in rows][first:]

    def _acknowledge(self, number: int) -> None:
        self._acknowledged[number] = time.monotonic()


async def watch(dsn: str, topic: str, seen: Seen, stop: asyncio.Event) -> None:
    """Record when each stored offset, which commits with its rows, became visible."""
    connection = await asyncpg.connect(dsn)
    query = "SELECT partition, next_offset FROM stream_offset WHERE topic = $1"
    while not stop.is_set():
        rows = await connection.fetch(query, topic)
        now = time.monotonic()
        for partition, offset in rows:
            moments = seen[partition]
            if not moments or moments[-1].offset < offset:
                moments.append(Visible(now, offset))
        await asyncio.sleep(LOOK_SECONDS)
    await connection.close()


class Runs:
    """Runs on the same servers, each with a topic, a group and a schema of its own."""

    def __init__(self, addresses: StackAddresses, options: argparse.Namespace) -> None:
        self._addresses = addresses
        self._options = options
        self._number = 0

    async def run(self, rate: int, command: Sequence[str] = product.WORKER, **variables: str) -> tuple[Measured, str]:
        """Measure once; returns the topic too."""
        self._number += 1
        options, dsn, prefix = self._options, self._addresses.database_url, f"run{self._number}."
        settings = stand.settings_of(self._addresses, prefix)
        await apply_topics(settings)
        await product.fresh_schema(dsn)
        sender = Sender(settings, rate, options.warm_up + options.seconds, options.seed + self._number)
        seen: Seen = defaultdict(list)
        stop = asyncio.Event()
        environment = stand.environment_of(self._addresses, prefix, lanes=options.lanes, group=prefix) | variables
        with product.started(environment, [command]):
            watching = asyncio.create_task(watch(dsn, settings.topics.raw, seen, stop))
            try:
                async with asyncio.timeout(START_SECONDS):
                    # The condition is a state of the database.
                    while len(seen) < settings.topic_partitions:  # noqa: ASYNC110
                        await asyncio.sleep(LOOK_SECONDS)
                sent = await sender.run(options.warm_up)
                await _drained(sent, seen)
            finally:
                stop.set()
                await watching
        gc.unfreeze()
        return Measured(sent, seen, sender.late), settings.topics.raw

    async def stages(self, rate: int) -> dict[str, dict[str, float]]:
        """Return where the time of an event goes, in milliseconds: what each stage takes, and since the send."""
        with tempfile.TemporaryDirectory() as directory:
            notes = Path(directory) / "notes.json"
            measured, topic = await self.run(rate, TIMED_WORKER, **{NOTES: str(notes)})
            found = milliseconds(measured.sent, measured.seen, Notes(notes, topic))
        return {
            stage: {f"{what} {name}": percentiles(ordered)[name] for what, ordered in zip(("took", "since"), both, strict=True)
                    for name in ("p50", "p99")}
            for stage, both in found.items()
        }  # fmt: skip


async def _drained(sent: Sequence[Sent], seen: Seen) -> None:
    last = {one.partition: one.offset for one in sorted(sent, key=lambda one: one.offset)}
    async with asyncio.timeout(DRAIN_SECONDS):
        # The condition is a state of the database.
        while any(not seen[one] or seen[one][-1].offset <= offset for one, offset in last.items()):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)


async def measure(addresses: StackAddresses, options: argparse.Namespace) -> dict[str, Any]:
    runs = Runs(addresses, options)
    order = [rate for rate in options.rates for _ in range(options.runs)]
    random.Random(options.seed).shuffle(order)
    # The broker's Java compiles during its first minutes, which is no property of the product.
    await runs.run(max(options.rates))
    found = []
    for rate in order:
        figures = (await runs.run(rate))[0].percentiles()
        sys.stderr.write(f"{rate:,}/s: {', '.join(f'{name} {one:.1f}' for name, one in figures.items())} ms\n")
        found.append({"rate": rate, "milliseconds": figures})
    return {"runs": found, "stages": {rate: await runs.stages(rate) for rate in options.rates}}


def by_rate(runs: Sequence[Mapping[str, Any]]) -> dict[int, list[dict[str, float]]]:
    """Return the figures of the runs of each rate, the lowest first."""
    rates = sorted({run["rate"] for run in runs})
    return {rate: [run["milliseconds"] for run in runs if run["rate"] == rate] for rate in rates}


def behind(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the bars that are not met, as text."""
    found = by_rate(runs)
    medians = {
        (rate, name): statistics.median(one[name] for one in found[rate])
        for rate in found
        for name in BARS.get(rate, ())
    }
    return [
        f"{name} at {rate:,}/s is {figure:.0f} ms, at most {BARS[rate][name]:.0f} is wanted"
        for (rate, name), figure in medians.items() if figure > BARS[rate][name]
    ]  # fmt: skip


def show(result: Mapping[str, Any]) -> None:
    names = [*SHARES, "most", "late p99"]
    tables.show(
        "ms from send to row: medians of the runs, and how late the sender was",
        ("events/s", "runs", *names, "range of p99"),
        [
            (f"{rate:,}", str(len(runs)), *(tables.middle([run[name] for run in runs]) for name in names),
             tables.spread([run["p99"] for run in runs]))
            for rate, runs in by_rate(result["runs"]).items()
        ],
    )  # fmt: skip
    for rate, stages in result["stages"].items():
        tables.show(
            f"where the time goes at {rate:,}/s, one run, ms",
            ("stage", "median", "p99", "since the send, median", "p99"),
            [(stage, *(f"{one:.1f}" for one in stages[stage].values())) for stage in STAGES],
        )


def main(words: list[str]) -> int:
    options = arguments(words)
    with stand.servers() as addresses:
        result = uvloop.run(measure(addresses, options))
    show(result)
    stand.keep("latency", {"seconds": options.seconds, "lanes": options.lanes, **result})
    missed = behind(result["runs"])
    for one in missed:
        print(f"MISSED: {one}")
    return 1 if missed else 0
