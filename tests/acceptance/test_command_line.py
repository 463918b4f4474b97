"""The command line from an empty database to a balanced audit, each command in a process of its own."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from support.processes.command import bridge, start
from support.wait import wait_until

from bridge.dev.stack import StackAddresses

GOOD, LATE = "shop", "late"


def event(event_id: str, script_id: str = GOOD) -> bytes:
    """One raw event of site 7 as a line."""
    document = {
        "event_id": event_id,
        "site_id": 7,
        "script_id": script_id,
        "event_type": "pageview",
        "occurred_at": time.time_ns() // 1_000_000,
    }
    return json.dumps(document).encode() + b"\n"


@contextmanager
def worker(settings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A running `bridge worker`, killed if it is still running at the test's end."""
    process = start("worker", settings=settings, quiet=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


async def test_from_nothing_to_a_balanced_audit(stack: StackAddresses, empty_database: str, topic_prefix: str) -> None:
    """Topics, schema and script are created, lines are published and committed, and a retried event is normalized.

    The audit balances.
    """
    settings = {
        "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": stack.kafka,
        "BRIDGE_DATABASE_URL": empty_database,
        "BRIDGE_TOPIC_PREFIX": topic_prefix,
        "BRIDGE_TOPIC_PARTITIONS": "3",
        "BRIDGE_GROUP": f"{topic_prefix}group",
        "BRIDGE_RETRY_DELAYS": "1s,2s,4s,8s",
        "BRIDGE_MAX_RETRIES": "6",
    }
    for command in ("topics apply", "topics check", "db migrate", f"script add {GOOD} --site-id 7 --org-id 1"):
        done = bridge(*command.split(), settings=settings)
        assert done.returncode == 0, (command, done.stderr)

    lines = event("a") + event("b") + event("a") + event("c", LATE) + b"not json\n"
    assert bridge("produce", "-", settings=settings, stdin=lines).returncode == 0

    conn = await asyncpg.connect(empty_database)
    try:
        with worker(settings) as running:
            await wait_until(
                lambda: conn.fetchval(
                    "SELECT true FROM bridge_event_raw WHERE script_id = $1 AND NOT normalized", LATE
                ),
                budget_seconds=60,
                describe="the unknown script's event to wait for a retry",
            )
            assert bridge("script", "add", LATE, "--site-id", "7", settings=settings).returncode == 0
            await wait_until(
                lambda: conn.fetchval("SELECT count(*) = 3 FROM bridge_event"),
                budget_seconds=60,
                describe="three events as rows, one of them healed",
            )
            running.send_signal(signal.SIGTERM)
            assert running.wait(30) == 0
        healed = await conn.fetch("SELECT event_id FROM bridge_event WHERE attempt > 1")
    finally:
        await conn.close()

    done = bridge("audit", "--json-output", "-", settings=settings)
    report = json.loads(done.stdout)
    assert done.returncode == 0, report["problems"]
    assert report["balanced"]
    assert [row["event_id"] for row in healed] == ["c"]
    assert report["totals"]["persisted"] == 3
    assert report["totals"]["dropped_by_reason"] == {"duplicate_event_id": 1, "invalid_payload_json": 1}
    assert (report["totals"]["waiting"], report["totals"]["unread"]) == (0, 0)
