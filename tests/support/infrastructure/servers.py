"""Kafka and Postgres of the tests: embedded, in containers, or given."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

import pytest

from bridge.dev.stack import Stack, StackAddresses
from bridge.dev.stack.ports import LOOPBACK, choose
from deploy.pins.table import image

KAFKA_VARIABLE = "BRIDGE_TEST_KAFKA"
DATABASE_VARIABLE = "BRIDGE_TEST_DATABASE_URL"
ADMIN_VARIABLE = "BRIDGE_TEST_ADMIN_DATABASE_URL"
KAFKA_IMAGE = image("kafka")
POSTGRES_IMAGE = image("postgres")
_CONTAINER_SECONDS = 120
_MEMORY = Path("/dev/shm")
_LEAST_MEMORY = 8 * 1024**3
_HOST_LISTENER = 9092


@contextmanager
def stack_directory() -> Iterator[Path]:
    """Make a temporary directory that Postgres' account can enter, unlike pytest's own.

    It is in memory if there is room. Each database of a test is some 500 files; a disk takes 0.2 s of processor time to
    create and remove them, memory a tenth of it.
    """
    place = _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _LEAST_MEMORY else None
    directory = Path(tempfile.mkdtemp(prefix="ghostlink-test-", dir=place))
    try:
        directory.chmod(0o755)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def embedded() -> Iterator[StackAddresses]:
    """Run the project's own stack, which ends with the test run."""
    with stack_directory() as directory:
        stack = Stack(directory / "stack")
        try:
            yield stack.start(owned=True)
        finally:
            stack.purge()


def given_addresses() -> StackAddresses:
    """Read the servers' addresses from environment variables; a missing one is a usage error."""
    given = {name: os.environ.get(name, "") for name in (KAFKA_VARIABLE, DATABASE_VARIABLE)}
    missing = [name for name, value in given.items() if not value]
    if missing:
        raise pytest.UsageError(
            f"--stack external needs {' and '.join(missing)}: set {KAFKA_VARIABLE}=host:port and "
            f"{DATABASE_VARIABLE}=postgresql://user:password@host:port/database (a superuser, or {ADMIN_VARIABLE} names one)"
        )
    url = given[DATABASE_VARIABLE]
    return StackAddresses(
        kafka=given[KAFKA_VARIABLE], database_url=url, admin_database_url=os.environ.get(ADMIN_VARIABLE, url)
    )


@contextmanager
def external() -> Iterator[StackAddresses]:
    """Use servers that are already running."""
    yield given_addresses()


@contextmanager
def containers() -> Iterator[StackAddresses]:
    """Run Kafka and Postgres in containers; without Docker the tests fail, they are not skipped."""
    from testcontainers.community.postgres import PostgresContainer
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.waiting_utils import wait_for_logs

    port = choose(asked=None, remembered=None, taken=(), purpose="Kafka")
    with ExitStack() as running:
        # Kafka advertises its port to clients, so the port on this machine has to be known before it starts.
        kafka = DockerContainer(KAFKA_IMAGE)
        # The library's own method can't bind to one address; the mapping that it passes to Docker can.
        cast("dict[str, object]", kafka.ports)[f"{_HOST_LISTENER}/tcp"] = (LOOPBACK, port)
        for name, value in _kafka_environment(port).items():
            kafka.with_env(name, value)
        running.enter_context(kafka)
        database = running.enter_context(PostgresContainer(POSTGRES_IMAGE, dbname="ghostlink", driver=None))
        wait_for_logs(kafka, r"Kafka Server started", timeout=_CONTAINER_SECONDS)
        url = database.get_connection_url()
        yield StackAddresses(kafka=f"{LOOPBACK}:{port}", database_url=url, admin_database_url=url)


def _kafka_environment(port: int) -> dict[str, str]:
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_LISTENERS": f"CLIENT://:{_HOST_LISTENER},CONTROLLER://:9093,INSIDE://:9094",
        "KAFKA_ADVERTISED_LISTENERS": f"CLIENT://{LOOPBACK}:{port},INSIDE://localhost:9094",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "INSIDE",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "1",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    }


SERVERS = {"embedded": embedded, "testcontainers": containers, "external": external}
