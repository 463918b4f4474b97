"""The metrics of a running worker: lag during an outage, the backlog, and its health."""

import asyncio
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from support.events.settled import environment_of, event, fetch, prepare, produce, settings_for, working
from support.infrastructure.databases import beside
from support.processes.command import words
from support.processes.programs import environment
from support.wait import wait_until

from bridge.dev.stack.ports import choose
from schemas.config.settings import Settings
from sinks.kafka.producer import make_producer
from sinks.postgres.stats.backlog import read_backlog
from telemetry import metrics

QUICK = {"lag_interval": "200ms", "backlog_interval": "200ms"}


def lag(settings: Settings, partition: int) -> float | None:
    return metrics.REGISTRY.get_sample_value(
        "bridge_lag_seconds", {"topic": settings.topics.raw, "partition": str(partition)}
    )


@asynccontextmanager
async def postgres_refuses(settings: Settings) -> AsyncIterator[None]:
    name = urlsplit(settings.dsn).path.removeprefix("/")
    conn = await asyncpg.connect(beside(settings.dsn))
    try:
        await conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'",
            name,
        )
        yield
    finally:
        await conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await conn.close()


async def test_the_lag_grows_while_nothing_is_settled_and_vanishes_with_its_partition(
    stack, database_url: str, topic_prefix: str
) -> None:
    """The lag of a partition during an outage is the age of its oldest unread record.

    It is 0 when all is read, and a revoked partition has no series.
    """
    settings = settings_for(stack.kafka, database_url, topic_prefix, **QUICK)
    await prepare(settings)
    async with working(settings) as worker:
        await produce(settings, [event(number) for number in range(20)])
        await wait_until(lambda: (lag(settings, 0), lag(settings, 1)) == (0, 0), budget_seconds=60, describe="no lag")
        async with postgres_refuses(settings):
            # Partition 0 has an unread record, partition 1 has none.
            began = time.monotonic()
            await produce(settings, [event(20)])
            await wait_until(lambda: (lag(settings, 0) or 0) > 3, budget_seconds=60, describe="a lag of three seconds")
            assert (lag(settings, 0) or 0) <= time.monotonic() - began + 1.5
            assert lag(settings, 1) == 0
            status, body = await worker.readiness.ready()
            assert (status, body["state"], body["components"]["postgres"]) == (503, "unhealthy", "error")
            # On a busy machine, Kafka's answer may come later than the check waits.
            await wait_until(lambda: _kafka_is_ok(worker), budget_seconds=60, describe="Kafka beside it")
        await wait_until(lambda: lag(settings, 0) == 0, budget_seconds=60, describe="the lag gone")
        await wait_until(lambda: _is_healthy(worker), budget_seconds=60, describe="healthy")

        await worker.on_partitions_revoked(set())

        await wait_until(lambda: lag(settings, 0) is None, budget_seconds=60, describe="no series of what was revoked")


async def _kafka_is_ok(worker) -> bool:
    _, body = await worker.readiness.ready()
    return body["components"]["kafka"] == "ok"


async def _is_healthy(worker) -> bool:
    status, body = await worker.readiness.ready()
    return (status, body["state"], body["components"]) == (
        200, "healthy", {"kafka": "ok", "postgres": "ok", "lanes": "ok"},
    )  # fmt: skip


async def test_an_open_transaction_is_told(stack, database_url: str, topic_prefix: str) -> None:
    """The age of an open transaction is measured until it ends; the records behind it don't count as lag."""
    settings = settings_for(stack.kafka, database_url, topic_prefix, **QUICK)
    await prepare(settings)
    place = {"topic": settings.topics.raw, "partition": "0"}

    def held_back() -> float | None:
        return metrics.REGISTRY.get_sample_value("bridge_open_transaction_seconds", place)

    async def rows(count: int) -> bool:
        return (await fetch(settings, "SELECT count(*) FROM bridge_event"))[0][0] == count

    options = {"transactional_id": f"{settings.group}-open", "enable_idempotence": True}
    async with working(settings), make_producer(settings, **options) as producer:
        await produce(settings, [event(1)])
        await wait_until(lambda: rows(1), budget_seconds=60, describe="the first event")
        await producer.begin_transaction()
        await producer.send_and_wait(settings.topics.raw, event(2), partition=0)
        await produce(settings, [event(3)])
        await wait_until(lambda: (held_back() or 0) > 2, budget_seconds=60, describe="an open transaction")
        assert lag(settings, 0) == 0
        assert await rows(1)
        await producer.commit_transaction()
        await wait_until(lambda: held_back() == 0, budget_seconds=60, describe="none open")
        await wait_until(lambda: rows(3), budget_seconds=60, describe="what stood behind it")


async def test_the_backlog_is_told(stack, database_url: str, topic_prefix: str) -> None:
    """Waiting retries by tier, open dead letters by reason, loss, unbalanced partitions, runs and replays."""
    settings = settings_for(
        stack.kafka, database_url, topic_prefix, retry_delays=("60s", "120s"), gate_min_processed=1, **QUICK
    )
    await prepare(settings)
    await produce(settings, [event(1), event(2, event_type=""), event(3, script_id="nobody"), event(4, event_type="")])

    def value(name: str, **labels: str) -> float | None:
        return metrics.REGISTRY.get_sample_value(name, labels)

    async with working(settings):
        await wait_until(lambda: value("bridge_dead_letters_open", reason="schema_violation") == 2,
                         budget_seconds=60, describe="two open dead letters")  # fmt: skip
        await wait_until(
            lambda: value("bridge_retries_waiting", tier="60s", sender="direct") == 1,
            budget_seconds=60,
            describe="a retry",
        )
        assert value("bridge_retries_overdue") == 0
        await fetch(settings, "UPDATE bridge_event_raw SET sender = 'visitor' WHERE NOT normalized")
        await wait_until(lambda: value("bridge_retries_waiting", tier="60s", sender="visitor") == 1,
                         budget_seconds=60, describe="a visitor's retry")  # fmt: skip
        assert value("bridge_retries_waiting", tier="60s", sender="direct") is None
        await fetch(settings, "UPDATE bridge_event_raw SET outcome_at = now() - interval '1 hour' WHERE raw_offset = 0"
                    " AND disposition = 'open'")  # fmt: skip
        await fetch(settings, "UPDATE bridge_event_raw SET disposition = 'discarded' WHERE disposition = 'open'")
        await wait_until(lambda: value("bridge_dead_letters_open", reason="schema_violation") is None,
                         budget_seconds=60, describe="none open")  # fmt: skip
        await fetch(settings, "UPDATE stream_offset SET live = live + 1, lost = lost + 2 WHERE partition = 0"
                    " AND topic = $1", settings.topics.raw)  # fmt: skip
        await fetch(
            settings,
            "INSERT INTO replay (replay_id, requested_by, filter, planned, published, state) VALUES"
            " (gen_random_uuid(), 'x', '{}', 10, 4, 'running'), (gen_random_uuid(), 'x', '{}', 5, 5, 'sent'),"
            " (gen_random_uuid(), 'x', '{}', 3, 0, 'planned')",
        )
        await fetch(
            settings,
            "INSERT INTO script_run (run_id, script, started_by, started_at, ended_at, exit_code) VALUES"
            " ('a', 'process', 'x', now(), now(), 1), ('b', 'process', 'x', now(), now(), 0),"
            " ('c', 'process', 'x', now(), now() - interval '2 hours', 1), ('d', 'process', 'x', now(), NULL, NULL)",
        )
        await wait_until(lambda: value("bridge_unacknowledged_lost_records") == 2, budget_seconds=60, describe="loss")
        assert value("bridge_unbalanced_partitions") == 1
        await wait_until(lambda: value("bridge_recent_runs", script="process", result="failed") == 1,
                         budget_seconds=60, describe="a run that failed")  # fmt: skip
        assert value("bridge_recent_runs", script="process", result="succeeded") == 1
        assert (value("bridge_replays", state="running"), value("bridge_replays", state="planned")) == (1, 1)
        assert value("bridge_replays", state="sent") is None
        assert (value("bridge_replay_items", what="planned"), value("bridge_replay_items", what="sent")) == (10, 4)
    found = await read_backlog(settings.dsn, settings.group)
    assert found.connections_left > 0
    assert (found.state.partitions_end or 0) > time.time() + 30 * 86400
    assert found.state.database_bytes > 0
    assert not found.brake_engaged


def _get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


async def test_a_workers_pages(stack, database_url: str, topic_prefix: str, tmp_path: Path) -> None:
    """A worker process serves /health, /ready and /metrics."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    port = str(choose(asked=None, remembered=None, taken=[], purpose="metrics"))
    given = environment(environment_of(settings, BRIDGE_METRICS_PORT=port))
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(words("worker"), env=given, stdout=log, stderr=log)
    try:

        async def ready() -> bool:
            status, body = await asyncio.to_thread(_get, f"{url}/ready")
            return status == 200 and json.loads(body)["components"]["lanes"] == "ok"

        await wait_until(ready, budget_seconds=60, describe=(tmp_path / "log").read_text)
        status, body = await asyncio.to_thread(_get, f"{url}/ready")
        told = json.loads(body)
        assert (status, told["status"], told["state"], told["environment"]) == (200, "ready", "healthy", "development")
        assert told["version"]
        status, body = await asyncio.to_thread(_get, f"{url}/health")
        assert (status, json.loads(body)) == (200, {"status": "healthy"})
        status, body = await asyncio.to_thread(_get, f"{url}/metrics")
        assert status == 200
        assert b"bridge_build_info{" in body
        assert b"process_resident_memory_bytes" in body
    finally:
        worker.kill()
        worker.wait(10)
