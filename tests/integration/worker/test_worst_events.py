"""A worker under events of the worst shapes answers health requests and stays in its group."""

import asyncio
import itertools
import subprocess
import time
import urllib.request
from pathlib import Path

import asyncpg
from support.events.settled import environment_of, prepare, settings_for
from support.processes.command import words
from support.processes.programs import environment, python
from support.wait import wait_until

from bench.rig.shapes import sound, told_apart
from bridge.dev.stack.ports import choose
from sinks.kafka.admin import started
from sinks.kafka.producer import make_producer
from sinks.postgres.registry.admin import add_script

EVENTS = 1000
ANSWER_SECONDS = 5
"""The time-out of the templates' liveness probes; `python -m bench worst_events` measures the bound of half a second."""

HELD = """
import sys
import time
from mode.loop import use
use("uvloop")
import streams.faust_host.app
from schemas.config.settings import load_settings
from streams.faust_host.host import host
async def hold(_settings, _publish):
    print("held", flush=True)
    time.sleep(60)
streams.faust_host.app.judge_and_publish = hold
settings = load_settings()
sys.exit(host(streams.faust_host.app.create_app(settings), settings))
"""


def page(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=ANSWER_SECONDS) as answer:
        return answer.read().decode()


async def test_health_is_answered_and_the_member_stays(
    stack, database_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    """While a thousand of them are committed, every /health request is answered and no partition is reassigned."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    await add_script(settings.dsn, "shop", 1, org_id=1)
    producer = make_producer(settings)
    async with started(settings, producer):
        for number, (_, value) in zip(range(EVENTS), itertools.cycle(list(sound())), strict=False):
            sent = told_apart(value, number, time.time_ns() // 1_000_000)
            await producer.send(settings.topics.raw, sent, partition=number % 2)
    port = choose(asked=None, remembered=None, taken=[], purpose="metrics")
    conn = await asyncpg.connect(settings.dsn)
    answered = 0
    with (tmp_path / "log").open("wb") as log:
        given = environment(environment_of(settings, BRIDGE_METRICS_PORT=str(port)))
        worker = subprocess.Popen(words("worker"), env=given, stdout=log, stderr=log)
    try:

        async def settled() -> bool:
            nonlocal answered
            try:
                await asyncio.to_thread(page, port, "/health")
                answered += 1
            except OSError:
                # Before the first answer the port is not open yet.
                if answered:
                    raise
            query = "SELECT coalesce(sum(next_offset), 0) = $1 FROM stream_offset WHERE topic = $2"
            return bool(await conn.fetchval(query, EVENTS, settings.topics.raw))

        await wait_until(settled, budget_seconds=120, describe=(tmp_path / "log").read_text)
        assert answered
        assert "bridge_rebalances_total 1.0" in await asyncio.to_thread(page, port, "/metrics")
        assert await conn.fetchval("SELECT count(*) FROM bridge_event") > EVENTS * 0.9
        assert not await conn.fetchval(
            "SELECT count(*) FROM bridge_event_raw WHERE dropped_reason <> $1", "duplicate_event_id"
        )
    finally:
        worker.kill()
        worker.wait(10)
        await conn.close()


async def test_health_is_answered_while_the_loop_is_held(stack, database_url: str, topic_prefix: str) -> None:
    """A thread of its own answers /health while the event loop is blocked."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    port = choose(asked=None, remembered=None, taken=[], purpose="metrics")
    given = environment(environment_of(settings, BRIDGE_METRICS_PORT=str(port), BRIDGE_GATE_INTERVAL="1s"))
    worker = subprocess.Popen(python(HELD), env=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert worker.stdout is not None
        lines = iter(worker.stdout.readline, b"")
        assert await asyncio.to_thread(lambda: any(line == b"held\n" for line in lines))
        assert "healthy" in await asyncio.to_thread(page, port, "/health")
    finally:
        worker.kill()
        worker.wait(10)
