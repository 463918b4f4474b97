"""`python -m bench profile`: CPU of an event by stage of the worker and by server."""

import argparse
import asyncio
import signal
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import asyncpg

from bench.peers.environment import peers_python
from bench.rig import mixed, product, stand, tables
from bench.rig.publish import publish
from sinks.kafka.topics import apply_topics

RATE = 200
# The first stage that matches a stack, from its innermost frame outwards, is the sample's stage.
STAGES = (
    ("read from Kafka (aiokafka, lz4)", ("aiokafka/", "streams/source/kafka.py")),
    ("read natively", ("streams/pipeline/native.py",)),
    ("decode and check", ("streams/pipeline/decode.py", "streams/pipeline/diagnose.py", "schemas/events/raw_event.py")),
    ("normalise", ("streams/pipeline/normalize.py", "schemas/instants.py")),
    ("key", ("streams/pipeline/dedup_key.py",)),
    ("judge: attempts, outcomes", ("streams/pipeline/processor.py", "streams/worker/lane.py", "schemas/")),
    ("rows encoded by Python", ("sinks/postgres/copy_encoder.py", "sinks/postgres/binary_rows.py")),
    ("asyncpg", ("asyncpg/",)),
    ("settle: keys, ledger, windows, offsets", ("sinks/",)),
)
REST = "event loop, Faust, metrics"


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench profile", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args(words)


async def measure(one: stand.Stand, options: argparse.Namespace) -> dict[str, float]:
    """Return microseconds of each event: the worker's stages, then the servers."""
    addresses = one.addresses
    settings = stand.settings_of(addresses)
    await apply_topics(settings)
    await publish(settings, mixed.records(options.events, options.seed))
    dsn, topic, environment = addresses.database_url, settings.topics.raw, stand.environment_of(addresses)
    # First without the profiler, which has a cost of its own; then with it, for the distribution of its samples.
    run = await product.run(dsn, environment, topic, options.events, one.servers)
    await product.fresh_schema(dsn)
    samples = await sample(dsn, environment | {"BRIDGE_GROUP": "profiled"}, topic, options.events)
    cost, total = run.cost_us, sum(samples.values())
    stages = {name: cost.worker * samples[name] / total for name in (*(name for name, _ in STAGES), REST)}
    return stages | {"Postgres": cost.postgres, "Kafka's broker": cost.broker}


async def sample(dsn: str, environment: dict[str, str], topic: str, count: int) -> Counter[str]:
    """Return the number of samples per stage of a worker that processes the topic."""
    with tempfile.TemporaryDirectory() as directory, product.started(environment) as workers:
        output = Path(directory) / "samples"
        py_spy = [str(peers_python().with_name("py-spy")), "record", "--pid", str(workers[0].pid)]
        await until(dsn, topic, 1)
        profiler = subprocess.Popen([*py_spy, "--rate", str(RATE), "--format", "raw", "--output", str(output), "--nonblocking"],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        await until(dsn, topic, count)
        profiler.send_signal(signal.SIGINT)
        profiler.wait(60)
        return staged(output.read_text())


async def until(dsn: str, topic: str, count: int) -> None:
    """Wait until `count` records of the topic are committed."""
    connection = await asyncpg.connect(dsn)
    query = "SELECT coalesce(sum(next_offset), 0)::bigint FROM stream_offset WHERE topic = $1"
    async with asyncio.timeout(product.BUDGET_SECONDS):
        while await connection.fetchval(query, topic) < count:  # noqa: ASYNC110 - it happens in a database
            await asyncio.sleep(0.1)
    await connection.close()


def staged(samples: str) -> Counter[str]:
    """Count samples by stage, from lines of frames from the outermost inwards with a count at the end."""
    found: Counter[str] = Counter()
    for line in samples.splitlines():
        stack, _, count = line.rpartition(" ")
        found[stage(stack.split(";"))] += int(count)
    return found


def stage(frames: list[str]) -> str:
    for frame in reversed(frames):
        for name, places in STAGES:
            if any(f"({place}" in frame or f"/{place}" in frame for place in places):
                return name
    return REST


def main(words: list[str]) -> int:
    options = arguments(words)
    with stand.processes() as one:
        found = asyncio.run(measure(one, options))
    tables.show("CPU of an event", ("stage", "microseconds"), [(name, f"{cost:.2f}") for name, cost in found.items()])
    stand.keep("profile", {"events": options.events, "microseconds": found})
    return 0
