"""`python -m bench stored`: the throughput with thirty million rows of twelve months in the tables, and with empty tables.

Each round processes the same new events twice, in an empty database and in a full one of the same server.
"""

import argparse
import asyncio
import statistics
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import asyncpg

from bench.rig import mixed, product, stand
from bench.rig.publish import publish
from sinks.kafka.topics import apply_topics
from sinks.postgres.schema.monthly_partitions import month
from sinks.postgres.statements import sql

MULTIPLY = Path(__file__).with_suffix(".sql")
BAR = 0.9
MONTHS = 12
"""How many months have rows; the last one is that of the load."""
BASE = """
CREATE TABLE base AS
SELECT *, row_number() OVER (ORDER BY received_at) AS place, count(*) OVER () AS whole FROM bridge_event
"""
SIZES = """
SELECT what, sum(size) AS size FROM (
    SELECT
        CASE
            WHEN relname ~ '^bridge_event_[0-9]' THEN CASE relkind WHEN 'i' THEN 'indexes of events' ELSE 'events' END
            WHEN relname LIKE 'bridge_event_key%' THEN CASE relkind WHEN 'i' THEN 'indexes of keys' ELSE 'keys' END
        END AS what,
        pg_relation_size(oid) AS size
    FROM pg_class WHERE relkind IN ('r', 'i') AND relname LIKE 'bridge_event%'
) AS found WHERE what IS NOT NULL GROUP BY what ORDER BY what
"""


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench stored", description=__doc__)
    parser.add_argument("--rows", type=int, default=30_000_000, help="stored before the first round")
    parser.add_argument("--events", type=int, default=500_000, help="settled in each round")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args(words)


async def measure(one: stand.Stand, options: argparse.Namespace) -> dict[str, Any]:
    full, sizes = await fill(one, options)
    rounds = []
    for number in range(options.rounds):
        prefix = f"round{number}."
        settings = stand.settings_of(one.addresses, prefix)
        await apply_topics(settings)
        await publish(settings, mixed.records(options.events, number + 1))
        figures: dict[str, float] = {}
        databases = [("empty", one.addresses.database_url), ("full", full)]
        for name, dsn in databases if number % 2 else reversed(databases):
            if name == "empty":
                await product.fresh_schema(dsn)
            before = await wal_bytes(dsn)
            environment = stand.environment_of(one.addresses, prefix, group=name) | {"BRIDGE_DATABASE_URL": dsn}
            run = await product.settle(dsn, environment, settings.topics.raw, options.events, one.servers)
            figures[name] = run.events / run.seconds
            figures[f"cpu us, {name}"] = run.cost_us.total
            figures[f"wal bytes, {name}"] = (await wal_bytes(dsn) - before) / options.events
        sys.stderr.write(f"round {number + 1}: {', '.join(f'{name} {one:,.1f}' for name, one in figures.items())}\n")
        rounds.append(figures)
    return {"sizes": sizes, "rounds": rounds}


async def wal_bytes(dsn: str) -> int:
    """Return how many bytes the server has written to its write-ahead log since it was made."""
    connection = await asyncpg.connect(dsn)
    written = await connection.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'")
    await connection.close()
    return int(written)


async def fill(one: stand.Stand, options: argparse.Namespace) -> tuple[str, dict[str, float]]:
    """Create a database with as many rows: the product processes a part of them, the others are copies.

    Returns its address, the number of its rows, and the bytes that one row takes in tables and indexes.
    """
    connection = await asyncpg.connect(one.addresses.database_url)
    await connection.execute("CREATE DATABASE bridge_full")
    await connection.close()
    dsn = one.addresses.database_url.rsplit("/", 1)[0] + "/bridge_full"
    settings = stand.settings_of(one.addresses)
    await apply_topics(settings)
    await publish(settings, mixed.records(options.events, 0))
    environment = stand.environment_of(one.addresses, group="fill") | {"BRIDGE_DATABASE_URL": dsn}
    await product.run(dsn, environment, settings.topics.raw, options.events, one.servers)
    connection = await asyncpg.connect(dsn)
    await multiply(connection, options.rows)
    rows = await connection.fetchval("SELECT count(*) FROM bridge_event")
    sizes = {row["what"]: int(row["size"]) / rows for row in await connection.fetch(SIZES)}
    await connection.close()
    sys.stderr.write(f"{rows:,} rows; bytes of each: {', '.join(f'{what} {one:.0f}' for what, one in sizes.items())}\n")
    return dsn, {"rows": rows} | sizes


async def multiply(connection: asyncpg.Connection, rows: int) -> None:
    """Copy the rows of this month to the months before, until there are as many."""
    await connection.execute(BASE)
    stored = await connection.fetchval("SELECT count(*) FROM base")
    copies = max(1, round((rows - stored) / stored / (MONTHS - 1)))
    this = datetime.now(UTC).date().replace(day=1)
    for back in range(MONTHS - 1, 0, -1):
        first, after = (at_midnight(month(this, shift)) for shift in (-back, 1 - back))
        bounds = {"name": f"bridge_event_{first:%Y_%m}", "first": first, "after": after}
        await connection.execute(sql("event_partition_create") % bounds)
        await connection.execute(MULTIPLY.read_text(), first, after, copies)
        sys.stderr.write(f"{first:%Y-%m}: {copies * stored:,} rows\n")
    await connection.execute("DROP TABLE base")
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")


def at_midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def main(words: list[str]) -> int:
    options = arguments(words)
    with stand.processes() as one:
        result = asyncio.run(measure(one, options))
    ratios = [one["full"] / one["empty"] for one in result["rounds"]]
    median = statistics.median(ratios)
    print(f"with {result['sizes']['rows']:,} rows: {median:.2f} of the throughput on empty tables "
          f"({min(ratios):.2f} to {max(ratios):.2f})")  # fmt: skip
    stand.keep("stored", {"events": options.events, **result})
    return 0 if median >= BAR else 1
