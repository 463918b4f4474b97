"""`python -m bench replay`: a plan of many dead letters, its replay with repeated kills, and then the audit."""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg

from bench.rig import product, stand
from bridge.dev.stack.stack import StackAddresses
from schemas.config.settings import Settings
from sinks.kafka.producer import make_producer
from sinks.kafka.topics import apply_topics
from sinks.postgres.registry.admin import add_script, set_enabled
from streams.audit import audit

PLAN_BAR_SECONDS, REPLAY_BAR = 10.0, 5000
LATE_SCRIPT = "late"
LOOK_SECONDS = 0.02
BRIDGE = str(Path(sys.executable).with_name("bridge"))


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench replay", description=__doc__)
    parser.add_argument("--items", type=int, default=100_000, help="dead letters of each plan")
    parser.add_argument("--kills", type=int, default=5, help="SIGKILLs of the second replay")
    return parser.parse_args(words)


class Bench:
    """Commands and queries against one stack."""

    def __init__(self, addresses: StackAddresses, options: argparse.Namespace, connection: asyncpg.Connection) -> None:
        self.items: int = options.items
        self.kills: int = options.kills
        self.connection = connection
        # No retries, and a circuit breaker that lets all of them be dropped.
        self.environment = stand.environment_of(
            addresses, max_retries=0, brake_min_events=10**9, brake_run_length=10**9
        )
        self.settings: Settings = stand.settings_of(addresses)

    async def until(self, statement: str, *arguments: object) -> None:
        deadline = time.perf_counter() + product.BUDGET_SECONDS
        while not await self.connection.fetchval(statement, *arguments):
            if time.perf_counter() > deadline:
                raise RuntimeError(f"in vain: {statement}")
            await asyncio.sleep(LOOK_SECONDS)

    async def drop(self, first: int) -> None:
        """Send as many events of a script that is not registered yet, and wait until all are dropped."""
        async with make_producer(self.settings) as producer:
            sent = []
            for number in range(first, first + self.items):
                event = {
                    "event_id": f"e-{number}", "site_id": 1, "script_id": LATE_SCRIPT, "event_type": "click",
                    "occurred_at": time.time_ns() // 1_000_000, "url": f"https://shop.example/products/{number}?utm_source=m",
                    "properties": {"plan": "pro", "number": number},
                }  # fmt: skip
                partition = number % self.settings.topic_partitions
                sent.append(
                    await producer.send(self.settings.topics.raw, json.dumps(event).encode(), partition=partition)
                )
            await asyncio.gather(*sent)
        open_now = "SELECT count(*) = $1 FROM bridge_event_raw WHERE disposition = 'open'"
        await self.until(open_now, self.items)

    def command(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [BRIDGE, "dlq", *words],
            env=os.environ | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    async def told(self, *words: str) -> tuple[dict[str, Any], float]:
        """Run the command; returns its summary, and the seconds it took including its start."""
        began = time.perf_counter()
        running = self.command(*words, "--json-output", "-")
        out, _ = await asyncio.to_thread(running.communicate)
        return json.loads(out), time.perf_counter() - began

    async def killed(self, plan: str, sent: int) -> None:
        running = self.command("replay", plan)
        await self.until("SELECT published >= $2 FROM replay WHERE replay_id = $1::text::uuid", plan, sent)
        await asyncio.sleep(random.uniform(0, 0.3))  # at any point within a batch
        running.send_signal(signal.SIGKILL)
        await asyncio.to_thread(running.communicate)

    async def measure(self) -> dict[str, object]:
        await self.drop(0)
        await add_script(self.settings.dsn, LATE_SCRIPT, 1)
        plan, plan_seconds = await self.told("plan", "--all", "--yes")
        running = asyncio.create_task(self.told("replay", plan["replay_id"]))
        sent = "SELECT published >= $2 FROM replay WHERE replay_id = $1::text::uuid"
        await self.until(sent, plan["replay_id"], 1)
        began = time.perf_counter()
        await self.until(sent, plan["replay_id"], self.items)
        rate = self.items / (time.perf_counter() - began)
        summary, _ = await running
        return {"plan_seconds": plan_seconds, "forecast": plan["report"]["by_forecast"], "replay_rate": rate,
                "outcomes": summary["outcomes"]}  # fmt: skip

    async def torture(self) -> dict[str, object]:
        """Drop as many again, and replay them with a run that is killed at every stage."""
        await set_enabled(self.settings.dsn, LATE_SCRIPT, enabled=False)
        await asyncio.sleep(2)  # the workers are notified of it
        await self.drop(self.items)
        await set_enabled(self.settings.dsn, LATE_SCRIPT, enabled=True)
        plan, _ = await self.told("plan", "--all", "--yes")
        for kill in range(1, self.kills + 1):
            await self.killed(plan["replay_id"], kill * self.items // (self.kills + 1))
        summary, _ = await self.told("replay", plan["replay_id"])
        events = await self.connection.fetchrow("SELECT count(*), count(DISTINCT event_id) FROM bridge_event")
        stale = await self.connection.fetchval("SELECT sum(stale)::bigint FROM stream_offset")
        report = await audit(self.settings)
        return {
            "kills": self.kills, "outcomes": summary["outcomes"], "events": events[0], "distinct": events[1],
            "stale": stale, "balanced": report.balanced and report.totals.unread == 0, "problems": report.problems,
        }  # fmt: skip


async def run(addresses: StackAddresses, options: argparse.Namespace) -> dict[str, object]:
    await product.fresh_schema(addresses.database_url)
    connection = await asyncpg.connect(addresses.database_url)
    try:
        bench = Bench(addresses, options, connection)
        await apply_topics(bench.settings)
        with product.started(bench.environment):
            measured = await bench.measure()
            return measured | {"killed": await bench.torture()}
    finally:
        await connection.close()


def main(words: list[str]) -> int:
    options = arguments(words)
    with stand.servers() as addresses:
        result = asyncio.run(run(addresses, options))
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    stand.keep("replay", {"items": options.items, **result})
    killed = result["killed"]
    assert isinstance(killed, dict)
    kept = killed["balanced"] and killed["events"] == killed["distinct"] == 2 * options.items
    return 0 if kept and result["plan_seconds"] <= PLAN_BAR_SECONDS and result["replay_rate"] >= REPLAY_BAR else 1
