"""`python -m bench backup`: the throughput of a worker while backups run, compared with none; and their own speed.

Each round processes the same new events twice, into two copies of one database. One of the copies is backed up meanwhile,
again and again.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import asyncpg

from bench.rig import mixed, product, stand
from bench.rig.publish import publish
from sinks.kafka.topics import apply_topics

BAR = 0.9
BRIDGE = product.WORKER[0]
NAMES = ("quiet", "backed_up")


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench backup", description=__doc__)
    parser.add_argument("--stored", type=int, default=1_000_000, help="events in the database before the first round")
    parser.add_argument("--events", type=int, default=500_000, help="processed in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bytes-per-second", type=int, default=0, help="of the dump, compressed; 0: no limit")
    return parser.parse_args(words)


async def measure(one: stand.Stand, options: argparse.Namespace, store: Path) -> dict[str, Any]:
    databases = await fill(one, options)
    common = {
        "BRIDGE_STORE_URL": f"file://{store}",
        "BRIDGE_BACKUP_BYTES_PER_SECOND": str(options.bytes_per_second),
        "BRIDGE_RESTORE_DATABASE_URL": await empty(one),
    }
    rounds = []
    for number in range(options.rounds):
        prefix = f"round{number}."
        settings = stand.settings_of(one.addresses, prefix)
        await apply_topics(settings)
        await publish(settings, mixed.records(options.events, number + 1))
        figures: dict[str, float] = {}
        for name in NAMES if number % 2 else reversed(NAMES):
            given = {"BRIDGE_DATABASE_URL": databases[name]} | common
            environment = stand.environment_of(one.addresses, prefix, group=name) | given
            with backing_up(environment) if name == "backed_up" else nothing() as made:
                run = await product.settle(
                    databases[name], environment, settings.topics.raw, options.events, one.servers
                )
            figures[name] = run.events / run.seconds
            if name == "backed_up":
                figures["backups"] = len(made)
        sys.stderr.write(f"round {number + 1}: {', '.join(f'{name} {one:,.1f}' for name, one in figures.items())}\n")
        rounds.append(figures)
    environment = stand.environment_of(one.addresses) | {"BRIDGE_DATABASE_URL": databases["quiet"]} | common
    return {"rounds": rounds, "alone": await asyncio.to_thread(alone, environment, store)}


async def fill(one: stand.Stand, options: argparse.Namespace) -> dict[str, str]:
    """Create two equal databases with processed events; return their URLs."""
    server, _, own = one.addresses.database_url.rpartition("/")
    settings = stand.settings_of(one.addresses)
    await apply_topics(settings)
    await publish(settings, mixed.records(options.stored, 0))
    environment = stand.environment_of(one.addresses, group="fill")
    await product.run(one.addresses.database_url, environment, settings.topics.raw, options.stored, one.servers)
    connection = await asyncpg.connect(f"{one.addresses.admin_database_url.rpartition('/')[0]}/postgres")
    owner = await connection.fetchval("SELECT datdba::regrole::text FROM pg_database WHERE datname = $1", own)
    for name in NAMES:
        await connection.execute(f'CREATE DATABASE {name} TEMPLATE "{own}" OWNER "{owner}"')
    await connection.close()
    return {name: f"{server}/{name}" for name in NAMES}


async def empty(one: stand.Stand) -> str:
    connection = await asyncpg.connect(one.addresses.database_url)
    await connection.execute("CREATE DATABASE restored")
    await connection.close()
    return one.addresses.database_url.rpartition("/")[0] + "/restored"


@contextmanager
def nothing() -> Iterator[list[float]]:
    yield []


@contextmanager
def backing_up(environment: Mapping[str, str]) -> Iterator[list[float]]:
    """Make one backup after the other; yields the seconds of those that are complete."""
    made: list[float] = []
    ended = Event()

    def work() -> None:
        while not ended.is_set():
            made.append(timed(environment, "backup", "create"))

    thread = Thread(target=work)
    thread.start()
    try:
        yield made
    finally:
        ended.set()
        thread.join()


def timed(environment: Mapping[str, str], *words: str) -> float:
    started = time.perf_counter()
    subprocess.run([BRIDGE, *words], env=os.environ | environment, check=True, capture_output=True)
    return time.perf_counter() - started


def alone(environment: Mapping[str, str], store: Path) -> dict[str, float]:
    """Return the seconds of a backup, a verification and a restore without any load, and the sizes."""
    create = timed(environment, "backup", "create")
    (dump,) = sorted(store.rglob("dump"), key=lambda path: path.stat().st_mtime)[-1:]
    found = {"create": create, "stored_bytes": float(dump.stat().st_size)}
    found["verify"] = timed(environment, "backup", "verify")
    found["restore"] = timed(environment, "restore", "newest", "--confirm", "restored")
    sys.stderr.write(f"alone: {', '.join(f'{name} {one:,.1f}' for name, one in found.items())}\n")
    return found


def main(words: list[str]) -> int:
    options = arguments(words)
    with stand.processes() as one, tempfile.TemporaryDirectory(prefix="bridge-backups-") as store:
        result = asyncio.run(measure(one, options, Path(store)))
    ratios = [one["backed_up"] / one["quiet"] for one in result["rounds"]]
    median = statistics.median(ratios)
    print(f"under a running backup: {median:.2f} of the throughput ({min(ratios):.2f} to {max(ratios):.2f})")
    stand.keep(
        "backup",
        {"stored": options.stored, "events": options.events, "bytes_per_second": options.bytes_per_second, **result},
    )
    return 0 if median >= BAR else 1
