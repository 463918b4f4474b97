"""This product with every guarantee on: a fresh database, and `bridge worker` as in use, measured from outside."""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench.rig.load import SITES, script_of
from bench.rig.usage import Cost, Parties, Servers, Usage
from bridge.dev.stack.ports import LOOPBACK
from sinks.postgres.schema.migrate import migrate

WORKER = [str(Path(sys.executable).with_name("bridge")), "worker"]
METRICS_PORT = "BRIDGE_METRICS_PORT"
BUDGET_SECONDS = 600.0
LOOK_SECONDS = 0.05
_READ = re.compile(r'^bridge_read_records_total\{reader="(\w+)".*\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """One run: events and seconds between the first committed batch and the last, and what it took.

    `cost_us` is the CPU of an event since the workers have partitions: before the first commit they have already worked on
    eight batches. `natively` is the share of the records that the native module has read; None if no metrics were asked for.
    """

    events: int
    seconds: float
    cost_us: Cost
    peak_mb: float
    natively: float | None


def commands(workers: int) -> list[list[str]]:
    """Return the command lines that start so many worker processes: one, which may start several."""
    return [WORKER if workers == 1 else [*WORKER, "--processes", str(workers)]]


async def run(
    dsn: str, environment: Mapping[str, str], topic: str, count: int, servers: Servers, *, workers: int = 1
) -> Run:
    """Process the whole topic once with a new group, in an empty schema."""
    await fresh_schema(dsn)
    return await settle(dsn, environment, topic, count, servers, workers=workers)


async def settle(
    dsn: str, environment: Mapping[str, str], topic: str, count: int, servers: Servers, *, workers: int = 1
) -> Run:
    """Process the whole topic once with a new group."""
    connection = await asyncpg.connect(dsn)
    try:
        with started(environment, commands(workers)) as processes:
            parties = Parties([Usage(process.pid) for process in processes], servers)
            events, seconds, cost_us = await _watch(connection, parties, topic, count, workers)
            natively = await asyncio.to_thread(_natively, environment.get(METRICS_PORT, "0"))
            return Run(events, seconds, cost_us, parties.peak_mb, natively)
    finally:
        await connection.close()


@contextmanager
def started(
    environment: Mapping[str, str], words: Sequence[Sequence[str]] = (WORKER,)
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start `bridge worker` as users do; the logs are shown if something fails."""
    whole = os.environ | environment
    with tempfile.TemporaryFile() as log:
        processes = [subprocess.Popen(one, env=whole, stdout=log, stderr=log) for one in words]
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


async def _watch(
    connection: asyncpg.Connection, parties: Parties, topic: str, count: int, workers: int
) -> tuple[int, float, Cost]:
    """Return events and seconds since the first commit after every worker had partitions, and the CPU of an event."""
    first = settled = 0
    began = 0.0
    before: int | None = None
    deadline = time.perf_counter() + BUDGET_SECONDS
    query = """
    SELECT coalesce(sum(next_offset), 0)::bigint, count(DISTINCT worker) FROM stream_offset WHERE topic = $1
    """
    while settled < count:
        if time.perf_counter() > deadline or not parties.alive():
            raise RuntimeError(f"the workers settled {settled} of {count}")
        settled, owners = await connection.fetchrow(query, topic)
        now = time.perf_counter()
        parties.look()
        # Partitions are reassigned while workers still join.
        if before is None and owners == workers:
            before = settled
            parties.begin()
        if before is not None and settled and not began:
            began, first = now, settled
        await asyncio.sleep(LOOK_SECONDS)
    if before is None:
        raise RuntimeError("the topic was settled before every worker had partitions: take more events")
    parties.end()
    return settled - first, now - began, parties.cpu_seconds.of_each(settled - before)


def _natively(port: str) -> float | None:
    """Return the share of the records that the native module has read, by the metrics of the worker."""
    if port == "0":
        return None
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=5) as page:
        counts = _READ.findall(page.read().decode())
    read = [(reader, float(count)) for reader, count in counts]
    return sum(count for reader, count in read if reader == "native") / sum(count for _, count in read)
