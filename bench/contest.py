"""`python -m bench contest`: this product, its peers and the limits on one topic, in turn, in several rounds.

Every contestant starts with the rows of the month before in its table, reads all events of the topic, and is measured from
outside from its first row on.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import asyncpg

from bench.peers.catalogue import PEERS
from bench.peers.place import without_password
from bench.rig import earlier, mixed, peer_run, product, stand, standings
from bench.rig.publish import publish
from bench.rig.standings import LIMITS, OURS, TITLES, Figures, Limit, Ours
from bench.rig.usage import Cost
from bridge.dev.stack.ports import choose
from schemas.native_module import module
from sinks.kafka.topics import apply_topics

CONTESTANTS = tuple(TITLES)
NATIVE = ("product", "product-2", "native-limit", "native-limit-2")


@dataclass(frozen=True)
class Ring:
    """Values shared by all runs of a contest; `rows` is how many are in the table at the end."""

    stand: stand.Stand
    topic: str
    events: int
    rows: int
    earlier: int
    options: argparse.Namespace

    @property
    def dsn(self) -> str:
        return self.stand.addresses.database_url


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench contest", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--earlier", type=int, default=300_000, help="events of the month before, stored in each table")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow-rounds", type=int, default=1, help="rounds with the peers that take many minutes")
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3600, help="the longest that a peer may take")
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
    if module is None and (lacking := [name for name in names if name in NATIVE]):
        sys.stderr.write(f"the native module is not installed, which {', '.join(lacking)} need\n")
        return 1
    with stand.processes() as one:
        found = asyncio.run(hold(one, names, options))
    standings.report(found)
    runs = {name: [asdict(run) | {"cpu_us": run.cpu_us._asdict()} for run in runs] for name, runs in found.items()}
    stand.keep("contest", {"events": options.events, "earlier": options.earlier, "lanes": options.lanes, "runs": runs})
    return 0 if all(bar.met for bar in standings.bars(found)) else 1


async def hold(one: stand.Stand, names: list[str], options: argparse.Namespace) -> dict[str, list[Figures]]:
    """Run each contestant once in every round; each round starts with another one."""
    ring = await _prepare(one, options)
    found: dict[str, list[Figures]] = defaultdict(list)
    for number in range(options.rounds):
        for name in _order(names, number, options.slow_rounds):
            try:
                figures = await _run(ring, name, number)
            except peer_run.PeerFailed as error:
                # It is removed from all rounds, and the contest continues.
                sys.stderr.write(f"round {number + 1}, {name}: {error}; it is left out\n")
                names.remove(name)
                found.pop(name, None)
                continue
            sys.stderr.write(f"round {number + 1}, {name}: {json.dumps(asdict(figures))}\n")
            found[name].append(figures)
    return {name: found[name] for name in names if name in found}


async def _prepare(one: stand.Stand, options: argparse.Namespace) -> Ring:
    """Store the rows of the month before, and publish the events."""
    sys.stderr.write(f"storing {options.earlier:,} events of the month before\n")
    stored = await earlier.store(one, options.earlier, options.seed + 1)
    sys.stderr.write(f"publishing {options.events:,} events\n")
    settings = stand.settings_of(one.addresses)
    await apply_topics(settings)
    keys = await publish(settings, mixed.records(options.events, options.seed, earlier=stored.repeated))
    old = {f"{site}:{event_id}".encode() for site, event_id in stored.repeated}
    rows = stored.rows + sum(key not in old for key in keys)
    return Ring(one, settings.topics.raw, options.events, rows, stored.rows, options)


def _order(names: Sequence[str], number: int, slow_rounds: int) -> list[str]:
    turn = number % len(names)
    ordered = [*names[turn:], *names[:turn]]
    return [name for name in ordered if number < slow_rounds or name not in PEERS or not PEERS[name].slow]


async def _run(ring: Ring, name: str, number: int) -> Figures:
    if name in OURS:
        return await _run_product(ring, OURS[name], number, f"{name}-{number}")
    if name in LIMITS:
        return await _run_limit(ring, LIMITS[name], number)
    return await _run_peer(ring, name, number)


async def _run_product(ring: Ring, ours: Ours, number: int, group: str) -> Figures:
    port = choose(asked=None, remembered=None, taken=(), purpose="metrics")
    environment = stand.environment_of(
        ring.stand.addresses, lanes=ring.options.lanes, group=group, native_reader=ours.native, metrics_port=port
    )
    await product.fresh_schema(ring.dsn)
    await earlier.fill_product(ring.dsn)
    run = await product.settle(ring.dsn, environment, ring.topic, ring.events, ring.stand.servers, workers=ours.workers)
    connection = await asyncpg.connect(ring.dsn)
    rows = await connection.fetchval("SELECT count(*) FROM bridge_event")
    await product.clear(connection)
    await connection.close()
    return Figures(number, run.events / run.seconds, run.cost_us, run.peak_mb, rows == ring.rows, run.natively)


async def _run_limit(ring: Ring, limit: Limit, number: int) -> Figures:
    """Run the limit in a process of its own."""
    # The native one has the columns of the product's table.
    await product.fresh_schema(ring.dsn)
    addresses, servers = ring.stand.addresses, ring.stand.servers
    words = (
        limit.way,
        addresses.kafka,
        without_password(ring.dsn),
        ring.topic,
        ring.events,
        limit.connections,
        *servers,
    )
    command = [sys.executable, "-m", "bench.rig.limit", *map(str, words)]
    done = await asyncio.to_thread(
        subprocess.run, command, check=True, stdout=subprocess.PIPE, text=True, timeout=600,
        env=peer_run.environment_of(ring.dsn),
    )  # fmt: skip
    run = json.loads(done.stdout)
    cost = Cost(*run["cpu_seconds"]).of_each(run["events"])
    return Figures(number, run["events"] / run["seconds"], cost, run["peak_mb"])


async def _run_peer(ring: Ring, name: str, number: int) -> Figures:
    expected = ring.rows - ring.earlier
    run = await peer_run.run(PEERS[name], ring.stand, ring.topic, expected, ring.options.seconds)
    # Only rows are visible from outside; each row represents the same number of events of this load.
    events = max(1.0, run.rows * ring.events / expected)
    whole = run.rows == expected if run.ended else None
    return Figures(number, events / run.seconds, run.cpu_seconds.of_each(events), run.peak_mb, whole)
