"""`python -m bench.choices`: cost of each way to write a batch for client and database, on one connection.

The columnar way needs two packages that the product does not have: pyarrow and pgpq. Without them it is left out.
"""

import argparse
import io
import math
import random
import sys
import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Any

import asyncpg
import msgspec
import psutil
import uvloop
from aiokafka.structs import ConsumerRecord

from bench.rig import stand, tables
from bench.rig.load import SITES, records, script_of
from bench.rig.product import fresh_schema
from schemas.config.settings import Settings
from schemas.pipeline.outcome import Candidate, Normalized, Outcomes
from schemas.pipeline.record import Batch, TopicPartition
from schemas.pipeline.registry import Script
from sinks.commit_rules import first_of_each_key
from sinks.postgres.transaction import EVENT_COLUMNS, claim_keys, write_events
from sinks.senders import only_sender
from streams.pipeline.dedup_key import DedupHints
from streams.pipeline.normalize import bounds_of
from streams.pipeline.processor import Context, processing
from streams.pipeline.trust import GatewayTrust
from streams.rules.retry_policy import retry_policy

BATCH = 5000
BY_ARRAY = """
WITH offered AS (
    SELECT event_key, received_at FROM unnest($1::bytea[], $2::timestamptz[]) AS n (event_key, received_at)
), claimed AS (
    INSERT INTO bridge_event_key (event_key, received_at) SELECT event_key, received_at FROM offered
    ON CONFLICT ON CONSTRAINT bridge_event_key_pkey DO NOTHING RETURNING event_key
)
SELECT event_key FROM offered WHERE event_key NOT IN (SELECT event_key FROM claimed)
"""
Write = Callable[[asyncpg.Connection, list[Candidate]], Awaitable[None]]


def batches(count: int, seed: int) -> list[list[Candidate]]:
    """Return normalised candidates in batches, as the lane passes them on, without near duplicates."""
    now_ms = time.time_ns() // 1_000_000
    settings = Settings()
    registry = {script_of(site): Script(script_of(site), site, 1, True) for site in range(1, SITES + 1)}
    policy = retry_policy(settings, random.random)
    context = Context(now_ms, registry, DedupHints(0), {}, bounds_of(settings), policy, "bridge.raw", GatewayTrust())
    rows = [
        ConsumerRecord("bridge.raw", 0, offset, now_ms, 1, key, value, 0, len(key), len(value), ())
        for offset, (key, value) in enumerate(records(count, seed))
    ]
    source = TopicPartition("bridge.raw", 0)
    made = []
    for at in range(0, count, BATCH):
        outcomes = Outcomes(Batch(source, at, at + BATCH, rows[at : at + BATCH]))
        for _ in processing(outcomes, context, time.monotonic, math.inf):
            pass
        made.append(list(first_of_each_key([outcomes])[0].values()))
    return made


async def claim(connection: asyncpg.Connection, candidates: list[Candidate]) -> list[Candidate]:
    """Insert the keys as the product does, those that are held checked first; returns the winners."""
    winners = {one.key: one for one in candidates}
    for duplicate in await claim_keys(connection, winners, only_sender(winners.values())):
        del winners[duplicate.key]
    return list(winners.values())


async def claim_by_array(connection: asyncpg.Connection, candidates: list[Candidate]) -> list[Candidate]:
    """Insert keys from one array of keys and one of times."""
    winners = {one.key: one for one in candidates}
    keys = sorted(winners)
    taken = await connection.fetch(BY_ARRAY, keys, [winners[key].event.received_at for key in keys])
    for row in taken:
        del winners[row["event_key"]]
    return list(winners.values())


async def claim_by_copy(connection: asyncpg.Connection, candidates: list[Candidate]) -> list[Candidate]:
    """Insert keys with COPY directly, and in the other way when one collides."""
    rows = sorted((one.key, one.event.received_at) for one in candidates)
    try:
        async with connection.transaction():
            await connection.copy_records_to_table("bridge_event_key", records=rows)
    except asyncpg.UniqueViolationError:
        return await claim(connection, candidates)
    return candidates


async def tuples(connection: asyncpg.Connection, candidates: list[Candidate]) -> None:
    rows = [msgspec.structs.astuple(one.event) for one in candidates]
    await connection.copy_records_to_table("bridge_event", records=rows, columns=EVENT_COLUMNS)


async def staged(connection: asyncpg.Connection, candidates: list[Candidate]) -> None:
    columns = ", ".join(EVENT_COLUMNS)
    await connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS stage (LIKE bridge_event INCLUDING DEFAULTS) ON COMMIT DELETE ROWS"
    )
    rows = [msgspec.structs.astuple(one.event) for one in candidates]
    await connection.copy_records_to_table("stage", records=rows, columns=EVENT_COLUMNS)
    await connection.execute(f"INSERT INTO bridge_event ({columns}) SELECT {columns} FROM stage")


def columnar() -> Write | None:
    """Return the writer from structs via Arrow columns to binary COPY, or None without its packages.

    Normalising is not included, since it is the same in every way.
    """
    try:
        import pyarrow as pa
        from pgpq import ArrowToPostgresBinaryEncoder
    except ImportError:
        return None
    special = dict.fromkeys(("received_at", "occurred_at", "sent_at"), pa.timestamp("us", "UTC"))
    special |= dict.fromkeys(("site_id", "org_id", "schema_version", "raw_offset"), pa.int64())
    special |= {"raw_partition": pa.int32(), "attempt": pa.int32(), "value": pa.float64()}
    types = {name: special.get(name, pa.string()) for name in EVENT_COLUMNS}

    async def write(connection: asyncpg.Connection, candidates: list[Candidate]) -> None:
        columns = {name: [getattr(one.event, name) for one in candidates] for name in EVENT_COLUMNS}
        columns["value"] = [None if value is None else float(value) for value in columns["value"]]
        arrays = [pa.array(column, types[name]) for name, column in columns.items()]
        batch = pa.RecordBatch.from_arrays(arrays, names=list(columns))
        encoder = ArrowToPostgresBinaryEncoder(batch.schema)
        body = b"".join((bytes(encoder.write_header()), bytes(encoder.write_batch(batch)), bytes(encoder.finish())))
        await connection.copy_to_table("columnar", source=io.BytesIO(body), columns=EVENT_COLUMNS, format="binary")

    return write


async def cost(dsn: str, work: list[list[Candidate]], keys: Any, write: Write) -> tuple[float, float, float]:
    """Return wall time, client CPU and database CPU in microseconds an event, one transaction a batch."""
    connection = await asyncpg.connect(dsn)
    backend, client = psutil.Process(connection.get_server_pid()), psutil.Process()
    begun, ours, theirs = time.perf_counter(), client.cpu_times(), backend.cpu_times()
    written = 0
    for batch in work:
        async with connection.transaction():
            winners = await keys(connection, batch)
            await write(connection, winners)
        written += len(batch)
    ours_after, theirs_after = client.cpu_times(), backend.cpu_times()
    wall = time.perf_counter() - begun
    await connection.close()
    spent = [
        wall,
        ours_after.user + ours_after.system - ours.user - ours.system,
        theirs_after.user + theirs_after.system - theirs.user - theirs.system,
    ]
    return tuple(one / written * 1e6 for one in spent)  # type: ignore[return-value]


def with_digest(work: list[list[Candidate]]) -> list[list[Candidate]]:
    """Return the same candidates with keys without time: 128 bits of digest."""
    return [
        [
            Normalized(
                one.event, blake2b(one.key, digest_size=16).digest(), one.attempt, one.shared, one.site_id, one.sender
            )
            for one in batch
        ]
        for batch in work
    ]  # fmt: skip


async def measure(dsn: str, options: argparse.Namespace) -> None:
    work = batches(options.events, options.seed)
    ways: dict[str, tuple[list[list[Candidate]], Any, Write]] = {
        "rows as JSON lines, key table (chosen)": (work, claim, write_events),
        "rows as tuples, key table": (work, claim, tuples),
        "rows as tuples, staged first": (work, claim, staged),
        "rows as JSON lines, keys by COPY with a fallback": (work, claim_by_copy, write_events),
        "rows as JSON lines, keys as an array": (work, claim_by_array, write_events),
        "rows as JSON lines, digest keys": (with_digest(work), claim, write_events),
    }
    if (by_columns := columnar()) is not None:
        ways["columns by Arrow and pgpq"] = (work, claim, by_columns)
    figures: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, (rows, keys, write) in ways.items():
            await fresh_schema(dsn)
            await _columnar_table(dsn)
            figures[name].append(await cost(dsn, rows, keys, write))
    tables.show(
        f"us an event, median of {options.rounds}, {options.events} events, one connection",
        ("way", "wall", "client CPU", "database CPU"),
        [
            (name, *(tables.middle(column, ".1f") for column in zip(*runs, strict=True)))
            for name, runs in figures.items()
        ],
    )


async def _columnar_table(dsn: str) -> None:
    """Create a table with the events' columns and indexes; the two types that pgpq cannot write are replaced."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "CREATE TABLE columnar (LIKE bridge_event INCLUDING DEFAULTS);"
        "ALTER TABLE columnar ALTER value TYPE float8, ALTER properties TYPE text;"
        "CREATE INDEX ON columnar USING brin (received_at); CREATE INDEX ON columnar (site_id, received_at)"
    )
    await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.choices", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with stand.servers() as addresses:
        uvloop.run(measure(addresses.database_url, options))


if __name__ == "__main__":
    sys.exit(main())
