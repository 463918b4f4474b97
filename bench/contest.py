"""`python -m bench contest`: this product, its peers and the unsafe limit on one topic, in turn, in several rounds.

Every contestant starts with an empty table, and is measured from outside from its first row on. Peers that do not
finish in time are measured by the rows they wrote until then.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from rich.console import Console
from rich.table import Table

from bench.peers.catalogue import PEERS, Peer
from bench.peers.environment import peers_python
from bench.peers.place import Place, without_password
from bench.rig import load, product, stand
from bench.rig.usage import Usage
from bridge.dev.stack.stack import StackAddresses
from sinks.kafka.topics import apply_topics

# Worker processes of this product, connections of the limit.
OURS = {"product": 1, "product-2": 2}
LIMITS = {"limit": 1, "limit-2": 2}
TITLES = {
    "product": "Ghostlink Bridge, one worker",
    "product-2": "Ghostlink Bridge, two workers",
    "limit": "unsafe limit, one connection",
    "limit-2": "unsafe limit, two connections",
} | {name: peer.title for name, peer in PEERS.items()}
CONTESTANTS = tuple(TITLES)
TABLE = Path(__file__).with_name("peers") / "peer_event.sql"
LOOK_SECONDS = 0.05
START_SECONDS = 90.0
STILL_SECONDS = 4.0


@dataclass(frozen=True)
class Figures:
    """One run of one contestant; `whole` is whether all rows were there at the end, None if it was stopped early."""

    events_per_second: float
    cpu_per_100k: float
    peak_mb: float
    whole: bool | None


@dataclass(frozen=True)
class Ring:
    """Values shared by all runs of a contest."""

    addresses: StackAddresses
    topic: str
    events: int
    rows: int
    options: argparse.Namespace


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench contest", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=45, help="the longest that a peer is watched")
    parser.add_argument("--seed", type=int, default=7)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--only", nargs="+", choices=CONTESTANTS, default=CONTESTANTS, metavar="NAME")
    choice.add_argument(
        "--without", nargs="+", choices=CONTESTANTS, default=(), metavar="NAME", help=" ".join(CONTESTANTS)
    )
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    options = arguments(words)
    names = [name for name in options.only if name not in options.without]
    with stand.servers() as addresses:
        found = asyncio.run(hold(addresses, names, options))
    report(found)
    summary = {name: [asdict(run) for run in runs] for name, runs in found.items()}
    stand.keep("contest", {"events": options.events, "lanes": options.lanes, "runs": summary})
    return 0 if all(bars(found).values()) else 1


class PeerFailed(Exception):
    """A peer failed; the end of its output is on standard error."""


async def hold(addresses: StackAddresses, names: list[str], options: argparse.Namespace) -> dict[str, list[Figures]]:
    """Run each contestant once in every round; each round starts with another one."""
    settings = stand.settings_of(addresses)
    await apply_topics(settings)
    sys.stderr.write(f"publishing {options.events} events\n")
    rows = await load.publish(settings, options.events, options.seed)
    ring = Ring(addresses, settings.topics.raw, options.events, rows, options)
    found: dict[str, list[Figures]] = defaultdict(list)
    for number in range(options.rounds):
        turn = number % len(names)
        for name in [*names[turn:], *names[:turn]]:
            try:
                figures = await _run(ring, name, number)
            except PeerFailed as error:
                # The peer's result would have fewer rounds than the others', so it is removed and the contest
                # continues.
                sys.stderr.write(f"round {number + 1}, {name}: {error}; it is left out\n")
                names.remove(name)
                found.pop(name, None)
                continue
            sys.stderr.write(f"round {number + 1}, {name}: {json.dumps(asdict(figures))}\n")
            found[name].append(figures)
    return {name: found[name] for name in names}


async def _run(ring: Ring, name: str, number: int) -> Figures:
    if name in OURS:
        return await _run_product(ring, f"{name}-{number}", OURS[name])
    if name in LIMITS:
        return await asyncio.to_thread(_run_limit, ring, LIMITS[name])
    return await _run_peer(ring, PEERS[name])


async def _run_product(ring: Ring, group: str, workers: int) -> Figures:
    environment = stand.environment_of(ring.addresses, lanes=ring.options.lanes, group=group)
    dsn = ring.addresses.database_url
    run = await product.run(dsn, environment, ring.topic, ring.events, workers=workers)
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetchval("SELECT count(*) FROM bridge_event")
    await product.clear(connection)
    await connection.close()
    per_100k = run.cpu_seconds / run.events * 1e5
    return Figures(run.events / run.seconds, per_100k, run.peak_mb, rows == ring.rows)


def _run_limit(ring: Ring, connections: int) -> Figures:
    """Run the limit in a process of its own."""
    url = ring.addresses.database_url
    words = [ring.addresses.kafka, without_password(url), ring.topic, str(ring.events), str(connections)]
    command = [sys.executable, "-m", "bench.rig.limit", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600, env=_environment(url))
    run = json.loads(done.stdout)
    return Figures(run["events"] / run["seconds"], run["cpu_seconds"] / run["events"] * 1e5, run["peak_mb"], None)


def _environment(url: str) -> dict[str, str]:
    """Return this process's environment with the password of the URL."""
    return os.environ | {"PGPASSWORD": urlsplit(url).password or ""}


async def _run_peer(ring: Ring, peer: Peer) -> Figures:
    connection = await asyncpg.connect(ring.addresses.database_url)
    await product.clear(connection)
    await connection.execute(TABLE.read_text())
    await connection.execute("CHECKPOINT")
    with tempfile.TemporaryDirectory(prefix="bridge-peer-") as directory, tempfile.TemporaryFile() as log:
        place = Place(Path(directory), ring.addresses.kafka, ring.addresses.database_url, ring.topic, peers_python())
        root = str(Path(__file__).parents[1])
        environment = _environment(place.database_url) | {"PYTHONPATH": root, "PEER_DIRECTORY": directory}
        process = subprocess.Popen(peer.command(place), cwd=directory, env=environment, stdout=log, stderr=log)
        try:
            return await _watch_peer(connection, Usage(process.pid), ring)
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode()[-4000:])
            raise
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            await connection.execute("DROP TABLE peer_event")
            await connection.close()


async def _watch_peer(connection: asyncpg.Connection, usage: Usage, ring: Ring) -> Figures:
    """Measure from the first pages of the table to the last new one, or until the time is up; then count the rows."""
    size, grown = 0, 0.0
    started, deadline = 0.0, time.perf_counter() + START_SECONDS
    while True:
        usage.look()
        now = time.perf_counter()
        found = await connection.fetchval("SELECT pg_relation_size('peer_event')")
        if found > size:
            size, grown = found, now
            if not started:
                usage.begin()
                started, deadline = now, now + ring.options.seconds
        if now > deadline or (started and now > grown + STILL_SECONDS):
            break
        if not usage.alive():
            raise PeerFailed("ended by itself")
        await asyncio.sleep(LOOK_SECONDS)
    if not started:
        raise PeerFailed(f"wrote nothing within {START_SECONDS:.0f} s")
    usage.end()
    rows = await connection.fetchval("SELECT count(*) FROM peer_event")
    whole = rows == ring.rows
    cut = now > deadline and not whole
    seconds = (now if cut else grown) - started
    # Only rows are visible from outside; each row represents the same number of events of this load.
    events = rows * ring.events / ring.rows
    return Figures(
        events / seconds, usage.cpu_seconds / events * 1e5, usage.peak_mb, None if cut else rows == ring.rows
    )


def bars(found: dict[str, list[Figures]]) -> dict[str, bool]:
    """Return for each peer whether its bar is met; one that uses both cores is compared to two of our workers."""
    ours = {name: PEERS[name].against for name in found if name in PEERS}
    return {name: ratio(found, own, name) >= PEERS[name].bar for name, own in ours.items() if own in found}


def ratio(found: dict[str, list[Figures]], ours: str, theirs: str) -> float:
    """Return how many times faster this product is: the median of the rounds."""
    pairs = zip(found[ours], found[theirs], strict=True)
    return statistics.median(mine.events_per_second / other.events_per_second for mine, other in pairs)


def report(found: dict[str, list[Figures]]) -> None:
    table = Table(title="one topic, one table each, durable commits: median (range)")
    table.add_column("contestant")
    for heading in ("events/s", "of one worker", "of two", "CPU s per 100k", "peak MB", "rows"):
        table.add_column(heading, justify="right")
    for name, runs in found.items():
        speeds = [run.events_per_second for run in runs]
        table.add_row(
            TITLES[name],
            f"{statistics.median(speeds):,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f})",
            *(f"{ratio(found, ours, name):.2f}" if ours in found else "" for ours in OURS),
            f"{statistics.median(run.cpu_per_100k for run in runs):.1f}",
            f"{statistics.median(run.peak_mb for run in runs):,.0f}",
            _rows(runs),
        )
    Console().print(table)
    for name, met in bars(found).items():
        if not met:
            print(f"behind its bar: {PEERS[name].bar:g} times {PEERS[name].title}")


def _rows(runs: list[Figures]) -> str:
    states = {run.whole for run in runs}
    if False in states:
        return "WRONG"
    return "exact" if True in states else "not all" if states == {None} else ""
