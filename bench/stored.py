"""`python -m bench stored`: the throughput with ten million rows in the tables, compared to empty tables.

Each round processes the same new events twice, in an empty database and in a full one of the same server.
"""

import argparse
import asyncio
import statistics
import sys
from pathlib import Path

import asyncpg

from bench.rig import mixed, product, stand
from bench.rig.publish import publish
from sinks.kafka.topics import apply_topics

MULTIPLY = Path(__file__).with_suffix(".sql")
BAR = 0.8


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench stored", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="stored before the first round")
    parser.add_argument("--events", type=int, default=500_000, help="settled in each round")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args(words)


async def measure(one: stand.Stand, options: argparse.Namespace) -> list[dict[str, float]]:
    addresses = one.addresses
    full = await fill(one, options)
    rounds = []
    for number in range(options.rounds):
        prefix = f"round{number}."
        settings = stand.settings_of(addresses, prefix)
        await apply_topics(settings)
        await publish(settings, mixed.records(options.events, number + 1))
        rates = {}
        for name, dsn in (("empty", addresses.database_url), ("full", full)):
            if name == "empty":
                await product.fresh_schema(dsn)
            environment = stand.environment_of(addresses, prefix, group=name) | {"BRIDGE_DATABASE_URL": dsn}
            run = await product.settle(dsn, environment, settings.topics.raw, options.events, one.servers)
            rates[name] = run.events / run.seconds
        sys.stderr.write(f"round {number + 1}: {rates['empty']:,.0f} empty, {rates['full']:,.0f} full\n")
        rounds.append(rates)
    return rounds


async def fill(one: stand.Stand, options: argparse.Namespace) -> str:
    """Create a database with as many rows: the product processes a part of them, the others are copies."""
    addresses = one.addresses
    connection = await asyncpg.connect(addresses.database_url)
    await connection.execute("CREATE DATABASE bridge_full")
    await connection.close()
    dsn = addresses.database_url.rsplit("/", 1)[0] + "/bridge_full"
    settings = stand.settings_of(addresses)
    await apply_topics(settings)
    await publish(settings, mixed.records(options.events, 0))
    environment = stand.environment_of(addresses, group="fill") | {"BRIDGE_DATABASE_URL": dsn}
    await product.run(dsn, environment, settings.topics.raw, options.events, one.servers)
    connection = await asyncpg.connect(dsn)
    stored = await connection.fetchval("SELECT count(*) FROM bridge_event")
    sys.stderr.write(f"making {options.rows:,} rows of {stored:,}\n")
    await connection.execute(MULTIPLY.read_text(), max(0, -(-options.rows // stored) - 1))
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    sizes = await connection.fetchrow(
        "SELECT pg_size_pretty(pg_database_size(current_database())), (SELECT count(*) FROM bridge_event)"
    )
    sys.stderr.write(f"{sizes[1]:,} rows in {sizes[0]}\n")
    await connection.close()
    return dsn


def main(words: list[str]) -> int:
    options = arguments(words)
    with stand.processes() as one:
        rounds = asyncio.run(measure(one, options))
    ratios = [one["full"] / one["empty"] for one in rounds]
    median = statistics.median(ratios)
    print(f"with {options.rows:,} rows: {median:.2f} of the throughput on empty tables "
          f"({min(ratios):.2f} to {max(ratios):.2f})")  # fmt: skip
    stand.keep("stored", {"rows": options.rows, "events": options.events, "rounds": rounds})
    return 0 if median >= BAR else 1
