"""This product with every guarantee on: a fresh database, `bridge worker` as a user starts it, watched from outside."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import asyncpg
import psutil

from bench.load import SITES, script_of
from sinks.migrate import migrate

BUDGET_SECONDS = 300.0


@dataclass
class Run:
    """One run: events and seconds between the first settled batch and the last, and the worker's own costs."""

    events: int
    seconds: float
    cpu_seconds: float
    peak_mb: float


async def run(dsn: str, environment: dict[str, str], topic: str, count: int) -> Run:
    """Settles the whole topic once with a new group."""
    await fresh_schema(dsn)
    connection = await asyncpg.connect(dsn)
    with tempfile.TemporaryFile() as log:
        worker = start_worker(environment, log)
        try:
            return await _watch(connection, psutil.Process(worker.pid), topic, count)
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode()[-4000:])
            raise
        finally:
            worker.terminate()
            worker.wait(60)
            await connection.close()


def start_worker(environment: dict[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    """`bridge worker` as a user starts it."""
    command = [str(Path(sys.executable).with_name("bridge")), "worker"]
    return subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log)


async def fresh_schema(dsn: str) -> None:
    """An empty schema of the newest version with the load's scripts registered."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await migrate(dsn)
    await connection.execute("INSERT INTO org (org_id) VALUES (1)")
    for site in range(1, SITES + 1):
        await connection.execute("INSERT INTO site (site_id, org_id) VALUES ($1, 1)", site)
        await connection.execute("INSERT INTO script (script_id, site_id) VALUES ($1, $2)", script_of(site), site)
    await connection.execute("CHECKPOINT")
    await connection.close()


async def _watch(connection: asyncpg.Connection, worker: psutil.Process, topic: str, count: int) -> Run:
    first = settled = 0
    started, cpu, peak = 0.0, 0.0, 0.0
    deadline = time.perf_counter() + BUDGET_SECONDS
    query = "SELECT coalesce(sum(next_offset), 0)::bigint FROM stream_offset WHERE topic = $1"
    while settled < count:
        if time.perf_counter() > deadline or not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE:
            raise RuntimeError(f"the worker settled {settled} of {count}")
        settled = await connection.fetchval(query, topic)
        now, usage = time.perf_counter(), worker.cpu_times()
        peak = max(peak, worker.memory_info().rss / 2**20)
        if settled and not started:
            started, first, cpu = now, settled, usage.user + usage.system
        await asyncio.sleep(0.02)
    return Run(settled - first, now - started, usage.user + usage.system - cpu, peak)
