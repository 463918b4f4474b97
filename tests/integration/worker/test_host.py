"""The worker as a process: how it starts, drains, and ends when something is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from support.events.settled import event, prepare, produce, settings_for
from support.processes.programs import python
from support.wait import wait_until

from schemas import native_module
from schemas.config.settings import Settings
from streams.audit import audit

BIN = Path(sys.executable).parent
COMMANDS = {
    "bridge worker": [str(BIN / "bridge"), "worker"],
    "faust": [str(BIN / "faust"), "-A", "streams.app", "worker", "-l", "info"],
}

NATIVE = native_module.reads(wanted=True)
RUNS = [("bridge worker", NATIVE), ("bridge worker", "python"), ("faust", NATIVE)]


def environment(settings: Settings, **more: str) -> dict[str, str]:
    return os.environ | {
        "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": settings.brokers,
        "BRIDGE_DATABASE_URL": settings.dsn,
        "BRIDGE_TOPIC_PREFIX": settings.topic_prefix,
        "BRIDGE_GROUP": settings.group,
        "BRIDGE_TOPIC_PARTITIONS": "2",
        "BRIDGE_RETRY_DELAYS": "100ms,300ms",
        "BRIDGE_START_TIMEOUT": "1s",
        "BRIDGE_METRICS_PORT": "0",
        **more,
    }


async def test_both_commands_settle_and_drain(stack, database_url: str, topic_prefix: str, tmp_path: Path) -> None:
    """`bridge worker`, then `faust -A streams.app worker`: each commits its events and ends with 0 on SIGTERM.

    The first also runs without the native module.
    """
    settings = settings_for(stack.kafka, database_url, topic_prefix, retry_delays=("100ms", "300ms"))
    await prepare(settings)
    conn = await asyncpg.connect(database_url)
    for turn, (name, reads) in enumerate(RUNS, start=1):
        await produce(settings, [event(number) for number in range(turn * 1000, turn * 1000 + 50)])
        with (tmp_path / f"{turn}.log").open("wb") as log:
            by_python = {"BRIDGE_NATIVE_READER": "false"} if reads == "python" else {}
            worker = subprocess.Popen(COMMANDS[name], env=environment(settings, **by_python), stdout=log, stderr=log)
        try:
            await wait_until(
                lambda turn=turn: conn.fetchval("SELECT count(*) = $1 FROM bridge_event", 50 * turn),
                budget_seconds=60,
                describe=lambda turn=turn: (tmp_path / f"{turn}.log").read_text()[-2000:],
            )
            worker.terminate()
            assert worker.wait(30) == 0, f"{name}: {(tmp_path / f'{turn}.log').read_text()[-2000:]}"
        finally:
            worker.kill()
            worker.wait(10)
        if name == "bridge worker":
            # A log shipper rejects every line that is not JSON.
            found = [json.loads(line) for line in (tmp_path / f"{turn}.log").read_text().splitlines()]
            assert not [line for line in found if "Starting..." in line["event"]]
            assert [line["reads"] for line in found if line["event"] == "worker_started"] == [reads]
    await conn.close()
    assert (await audit(settings)).balanced


async def test_a_defect_ends_the_process_and_says_why(stack, database_url: str, topic_prefix: str) -> None:
    """A defect ends the worker with exit code 1 and a logged reason; the offset is kept.

    Here a first attempt finds a ledger row of its own provenance.
    """
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    conn = await asyncpg.connect(database_url)
    await conn.execute(
        "INSERT INTO bridge_event_raw (raw_topic, raw_partition, raw_offset, record_time, received_at, first_failed_at,"
        " last_error, error_class, normalized) VALUES ($1, 0, 0, now(), now(), now(), '', 'schema_violation', true)",
        settings.topics.raw,
    )
    await produce(settings, [b"{"])

    ended = subprocess.run(COMMANDS["bridge worker"], env=environment(settings), capture_output=True, timeout=60)

    assert ended.returncode == 1
    assert b"a first attempt met a ledger row of its own provenance" in ended.stderr
    assert await conn.fetchval("SELECT next_offset FROM stream_offset WHERE partition = 0 AND topic LIKE '%raw'") == 0
    await conn.close()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"BRIDGE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, b"Postgres", id="no Postgres"),
        pytest.param({"BRIDGE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, b"Kafka", id="no Kafka"),
        pytest.param({"BRIDGE_RETRY_DELAYS": "soon"}, b"BRIDGE_RETRY_DELAYS", id="a setting"),
        pytest.param({"BRIDGE_ENV": "staging"}, b"bridge topics apply", id="topics missing in staging"),
    ],
)
async def test_an_unfit_start_is_refused_in_one_line(
    stack, database_url: str, topic_prefix: str, changed: dict[str, str], said: bytes
) -> None:
    """A missing service, a wrong setting or missing topics exit with 3 and one line that names the remedy."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)

    ended = subprocess.run(
        COMMANDS["bridge worker"], env=environment(settings, **changed), capture_output=True, timeout=60
    )

    assert ended.returncode == 3, ended.stderr
    assert said in ended.stderr
    assert b"Traceback" not in ended.stderr


AWAY_IN_BETWEEN = """
import sys
from mode.loop import use
use("uvloop")
import streams.faust_host.app
from schemas.errors import PreconditionFailed
from schemas.config.settings import load_settings
from streams.faust_host.host import host
async def away(*_given):
    raise PreconditionFailed("Postgres is away at start")
streams.faust_host.app.ready = away
settings = load_settings()
sys.exit(host(streams.faust_host.app.create_app(settings), settings))
"""


async def test_a_service_that_goes_away_while_the_host_starts(stack, database_url: str, topic_prefix: str) -> None:
    """A service that fails between the command's check and the worker's exits with 3 too."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)

    ended = subprocess.run(python(AWAY_IN_BETWEEN), env=environment(settings), capture_output=True, timeout=60)

    assert ended.returncode == 3, ended.stderr[-3000:]


KAFKA_WENT = """
import sys
from mode.loop import use
use("uvloop")
import streams.faust_host.app
from schemas.config.settings import load_settings
from streams.faust_host.host import host
async def answered(*_given):
    pass
async def started(_worker):
    pass
streams.faust_host.app.ready = answered
streams.faust_host.app.Worker.start = started
settings = load_settings()
sys.exit(host(streams.faust_host.app.create_app(settings), settings))
"""


async def test_kafka_that_goes_away_before_faust_connects(stack, database_url: str, topic_prefix: str) -> None:
    """Kafka that fails after both checks, when Faust's clients connect, exits with 3 too."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    gone = environment(settings, BRIDGE_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")

    ended = subprocess.run(python(KAFKA_WENT), env=gone, capture_output=True, timeout=60)

    assert b"Unable connect" in ended.stderr
    assert ended.returncode == 3, ended.stderr[-3000:]


async def test_a_database_that_is_read_only_at_start(stack, database_url: str, topic_prefix: str) -> None:
    """A read-only database, as after a failover to a replica, exits with 3 in development too, where a start writes."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    conn = await asyncpg.connect(database_url)
    name = await conn.fetchval("SELECT current_database()")
    await conn.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await conn.close()

    ended = subprocess.run(COMMANDS["bridge worker"], env=environment(settings), capture_output=True, timeout=60)

    assert ended.returncode == 3, ended.stderr[-3000:]
    assert b"Traceback" not in ended.stderr


DYING_THREAD = """
import asyncio
import sys
from mode.loop import use
use("uvloop")
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
import streams.faust_host.app
import streams.faust_host.host
from schemas.config.settings import load_settings
async def die(_thread):
    raise asyncio.CancelledError
AIOKafkaConsumerThread.on_thread_stop = die
streams.faust_host.host.REST_SECONDS = 1.0
settings = load_settings()
sys.exit(streams.faust_host.host.host(streams.faust_host.app.create_app(settings), settings))
"""


async def test_a_stop_that_faust_does_not_survive(stack, database_url: str, topic_prefix: str, tmp_path: Path) -> None:
    """A worker that has drained exits with 0 although Faust's consumer fails in its stop and waits for itself."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    conn = await asyncpg.connect(database_url)
    await produce(settings, [event(1)])
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(python(DYING_THREAD), env=environment(settings), stdout=log, stderr=log)
    try:
        await wait_until(
            lambda: conn.fetchval("SELECT count(*) = 1 FROM bridge_event"),
            budget_seconds=60,
            describe=(tmp_path / "log").read_text,
        )
        worker.terminate()
        assert worker.wait(30) == 0, (tmp_path / "log").read_text()[-3000:]
    finally:
        worker.kill()
        worker.wait(10)
        await conn.close()
    assert "Faust has not stopped" in (tmp_path / "log").read_text()
