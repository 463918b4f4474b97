"""This product with every guarantee on: a fresh database, and `bridge worker` as in use, measured from outside."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench.rig.load import SITES, script_of
from bench.rig.usage import Usage
from sinks.postgres.schema.migrate import migrate

WORKER = [str(Path(sys.executable).with_name("bridge")), "worker"]
BUDGET_SECONDS = 300.0
LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Run:
    """One run: events and seconds between the first committed batch and the last, and the workers' own costs."""

    events: int
    seconds: float
    cpu_seconds: float
    peak_mb: float


async def run(dsn: str, environment: dict[str, str], topic: str, count: int, *, workers: int = 1) -> Run:
    """Process the whole topic once with a new group, in an empty schema."""
    await fresh_schema(dsn)
    return await settle(dsn, environment, topic, count, workers=workers)


async def settle(dsn: str, environment: dict[str, str], topic: str, count: int, *, workers: int = 1) -> Run:
    """Process the whole topic once with a new group."""
    connection = await asyncpg.connect(dsn)
    try:
        with started(environment, workers) as processes:
            return await _watch(connection, [Usage(process.pid) for process in processes], topic, count)
    finally:
        await connection.close()


@contextmanager
def started(environment: dict[str, str], workers: int = 1) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start as many `bridge worker` processes as users do; their logs are shown if something fails."""
    whole = os.environ | environment
    with tempfile.TemporaryFile() as log:
        processes = [subprocess.Popen(WORKER, env=whole, stdout=log, stderr=log) for _ in range(workers)]
        try:
            yield processes
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode()[-4000:])
            raise
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(60)


async def fresh_schema(dsn: str) -> None:
    """Create an empty schema of the newest version with the load's scripts registered."""
    connection = await asyncpg.connect(dsn)
    await clear(connection)
    await migrate(dsn)
    await connection.execute("INSERT INTO org (org_id) VALUES (1)")
    for site in range(1, SITES + 1):
        await connection.execute("INSERT INTO site (site_id, org_id) VALUES ($1, 1)", site)
        await connection.execute("INSERT INTO script (script_id, site_id) VALUES ($1, $2)", script_of(site), site)
    await connection.execute("CHECKPOINT")
    await connection.close()


async def clear(connection: asyncpg.Connection) -> None:
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")


async def _watch(connection: asyncpg.Connection, usages: list[Usage], topic: str, count: int) -> Run:
    first = settled = 0
    began = 0.0
    deadline = time.perf_counter() + BUDGET_SECONDS
    query = """
    SELECT coalesce(sum(next_offset), 0)::bigint, count(DISTINCT worker) FROM stream_offset WHERE topic = $1
    """
    while settled < count:
        if time.perf_counter() > deadline or not all(usage.alive() for usage in usages):
            raise RuntimeError(f"the workers settled {settled} of {count}")
        settled, owners = await connection.fetchrow(query, topic)
        now = time.perf_counter()
        for usage in usages:
            usage.look()
        # Partitions are reassigned while workers still join.
        if not began and settled and owners == len(usages):
            began, first = now, settled
            for usage in usages:
                usage.begin()
        await asyncio.sleep(LOOK_SECONDS)
    if not began:
        raise RuntimeError("the topic was settled before every worker had partitions: take more events")
    for usage in usages:
        usage.end()
    cpu_seconds = sum(usage.cpu_seconds for usage in usages)
    return Run(settled - first, now - began, cpu_seconds, sum(usage.peak_mb for usage in usages))
