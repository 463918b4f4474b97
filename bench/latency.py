"""`python -m bench latency`: time from the send to a commit that is visible to another connection, at a steady rate."""

import argparse
import asyncio
import itertools
import time
from collections import defaultdict

import asyncpg
import uvloop
from rich.console import Console
from rich.table import Table

from bench.rig import product, stand
from bench.rig.load import records
from bridge.dev.stack.stack import StackAddresses
from schemas.config.settings import Settings
from sinks.kafka.producer import make_producer
from sinks.kafka.topics import apply_topics

LOOK_SECONDS = 0.004
TICK_SECONDS = 0.01
DRAIN_SECONDS = 30.0
BAR_MS = 250
Offsets = dict[int, list[tuple[float, int]]]


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench latency", description=__doc__)
    parser.add_argument("--rate", type=int, default=1000, help="events a second")
    parser.add_argument("--seconds", type=int, default=60, help="how long is measured")
    parser.add_argument("--warm-up", type=int, default=10, help="seconds before that")
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args(words)


async def send(settings: Settings, options: argparse.Namespace) -> list[tuple[float, int, int]]:
    """Send at the rate; returns for each event its send time, partition and offset."""
    seconds = options.warm_up + options.seconds
    events = records(options.rate * seconds, options.seed)
    sent: list[tuple[float, asyncio.Future]] = []
    async with make_producer(settings, enable_idempotence=True, linger_ms=5) as producer:
        begun = time.perf_counter()
        for tick in itertools.count():
            due = begun + tick * TICK_SECONDS
            if due >= begun + seconds:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            for key, value in itertools.islice(events, round(options.rate * TICK_SECONDS)):
                sent.append((time.perf_counter(), await producer.send(settings.topics.raw, value, key=key)))
        acknowledged = await asyncio.gather(*(future for _, future in sent))
    from_there = begun + options.warm_up
    return [
        (moment, one.partition, one.offset)
        for (moment, _), one in zip(sent, acknowledged, strict=True)
        if moment >= from_there
    ]


async def watch(dsn: str, topic: str, seen: Offsets, stop: asyncio.Event) -> None:
    """Record when each stored offset, which commits with its rows, became visible."""
    connection = await asyncpg.connect(dsn)
    query = "SELECT partition, next_offset FROM stream_offset WHERE topic = $1"
    while not stop.is_set():
        rows = await connection.fetch(query, topic)
        now = time.perf_counter()
        for partition, offset in rows:
            moments = seen[partition]
            if not moments or moments[-1][1] < offset:
                moments.append((now, offset))
        await asyncio.sleep(LOOK_SECONDS)
    await connection.close()


def latencies(sent: list[tuple[float, int, int]], seen: Offsets) -> list[float]:
    """Return the milliseconds of each event, sorted; raises IndexError if one never became visible."""
    found = []
    places = dict.fromkeys(seen, 0)
    for moment, partition, offset in sorted(sent, key=lambda one: one[1:]):
        moments = seen[partition]
        while moments[places[partition]][1] <= offset:
            places[partition] += 1
        found.append((moments[places[partition]][0] - moment) * 1000)
    return sorted(found)


async def measure(addresses: StackAddresses, options: argparse.Namespace) -> list[float]:
    settings = stand.settings_of(addresses)
    await apply_topics(settings)
    await product.fresh_schema(addresses.database_url)
    seen: Offsets = defaultdict(list)
    stop = asyncio.Event()
    with product.started(stand.environment_of(addresses)):
        watching = asyncio.create_task(watch(addresses.database_url, settings.topics.raw, seen, stop))
        try:
            sent = await send(settings, options)
            last = {partition: offset for _, partition, offset in sorted(sent, key=lambda one: one[2])}
            async with asyncio.timeout(DRAIN_SECONDS):
                # The condition is a state of the database.
                while any(not seen[one] or seen[one][-1][1] <= offset for one, offset in last.items()):  # noqa: ASYNC110
                    await asyncio.sleep(TICK_SECONDS)
        finally:
            stop.set()
            await watching
    return latencies(sent, seen)


def main(words: list[str]) -> int:
    options = arguments(words)
    with stand.servers() as addresses:
        found = uvloop.run(measure(addresses, options))
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
    milliseconds = {name: found[int(len(found) * share)] for name, share in shares.items()} | {"most": found[-1]}
    table = Table(title=f"ms from send to row, {options.rate} events/s for {options.seconds} s, {len(found)} events")
    for name in milliseconds:
        table.add_column(name, justify="right")
    table.add_row(*(f"{one:.0f}" for one in milliseconds.values()))
    Console().print(table)
    stand.keep("latency", {"rate": options.rate, "seconds": options.seconds, "milliseconds": milliseconds})
    return 0 if milliseconds["p99"] <= BAR_MS else 1
