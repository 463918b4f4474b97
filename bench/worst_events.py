"""`python -m bench worst_events`: cost of events of the worst shapes, and a worker's response times meanwhile."""

import argparse
import asyncio
import itertools
import statistics
import time
from contextlib import suppress
from datetime import timedelta

import aiohttp
import asyncpg

from bench.rig import product, shapes, stand, tables
from bench.rig.small_shapes import small
from bridge.dev.stack.ports import choose
from bridge.dev.stack.stack import StackAddresses
from schemas.instants import instant
from schemas.pipeline.record import Provenance
from schemas.pipeline.registry import Script
from sinks.kafka.admin import started
from sinks.kafka.producer import make_producer
from sinks.kafka.topics import apply_topics
from sinks.postgres.copy_encoder import encoded
from streams.pipeline.normalize import Bounds, forget_texts
from streams.pipeline.reading import read_event
from streams.pipeline.rejection import Rejection

MOST_MS = 5.0
MOST_HEALTH_MS = 500.0
APART_SECONDS = 0.02
_REGISTRY = {"shop": Script("shop", 1, 10, enabled=True)}
_BOUNDS = Bounds(timedelta(days=7), timedelta(hours=1))


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench worst_events", description=__doc__)
    parser.add_argument("--events", type=int, default=1000, help="to feed a worker")
    parser.add_argument("--tries", type=int, default=5, help="of each shape; the best counts")
    parser.add_argument("--shown", type=int, default=12)
    return parser.parse_args(words)


def milliseconds(value: bytes) -> float:
    """Return the milliseconds of this thread's CPU for decoding, normalising and encoding texts that are new."""
    forget_texts()
    began = time.thread_time()
    with suppress(Rejection):
        encoded([read_event(value, None, instant(shapes.NOW_MS), Provenance("t", 0, 0), _REGISTRY, _BOUNDS)])
    return (time.thread_time() - began) * 1000


async def feed(addresses: StackAddresses, count: int) -> dict[str, float]:
    """Return the seconds until a worker has processed `count` of them, and milliseconds of `/health` meanwhile."""
    settings = stand.settings_of(addresses)
    await apply_topics(settings)
    await product.fresh_schema(addresses.database_url)
    connection = await asyncpg.connect(addresses.database_url)
    await connection.execute("INSERT INTO script (script_id, site_id) VALUES ('shop', 1)")
    producer = make_producer(settings)
    async with started(settings, producer):
        for number, (_, value) in zip(range(count), itertools.cycle(list(shapes.sound())), strict=False):
            sent = shapes.told_apart(value, number, time.time_ns() // 1_000_000)
            await producer.send(settings.topics.raw, sent, key=b"%d" % number)
    port = choose(asked=None, remembered=None, taken=(), purpose="metrics")
    answers: list[float] = []
    with product.started(stand.environment_of(addresses, metrics_port=port)):
        async with aiohttp.ClientSession() as session:
            settled, began = 0, 0.0
            query = "SELECT coalesce(sum(next_offset), 0)::bigint FROM stream_offset WHERE topic = $1"
            while settled < count:
                settled = await connection.fetchval(query, settings.topics.raw)
                began = began or (time.perf_counter() if settled else 0.0)
                asked = time.perf_counter()
                try:
                    async with session.get(f"http://127.0.0.1:{port}/health") as answer:
                        await answer.read()
                except aiohttp.ClientConnectionError:
                    # The worker does not listen yet.
                    assert not answers
                else:
                    answers.append((time.perf_counter() - asked) * 1000)
                await asyncio.sleep(APART_SECONDS)
            async with session.get(f"http://127.0.0.1:{port}/metrics") as page:
                lines = (await page.text()).splitlines()
    await connection.close()
    rebalances = next(float(line.split()[1]) for line in lines if line.startswith("bridge_rebalances_total "))
    return {
        "settled_seconds": time.perf_counter() - began, "health_asked": len(answers),
        "health_ms_median": statistics.median(answers), "health_ms_worst": max(answers), "rebalances": rebalances,
    }  # fmt: skip


def main(words: list[str]) -> int:
    """Measure; returns 1 if a valid event, or `/health`, takes longer than its limit."""
    options = arguments(words)
    found = {
        kind: {name: min(milliseconds(value) for _ in range(options.tries)) for name, value in made()}
        for kind, made in (("sound", shapes.sound), ("refused", shapes.unsound), ("small", small))
    }
    for kind, costs in found.items():
        worst = sorted(costs.items(), key=lambda one: -one[1])[: options.shown]
        title = f"milliseconds of CPU for one {kind} event, the worst of {len(costs)} shapes"
        tables.show(title, ("shape", "ms"), [(name, f"{cost:.2f}") for name, cost in worst])
    with stand.servers() as addresses:
        fed = asyncio.run(feed(addresses, options.events))
    print(f"{options.events} of them, fed to a worker:", {name: round(one, 1) for name, one in fed.items()})
    stand.keep("worst_events", {"milliseconds": found, "fed": {"events": options.events, **fed}})
    return int(max(found["sound"].values()) > MOST_MS or fed["health_ms_worst"] > MOST_HEALTH_MS)
