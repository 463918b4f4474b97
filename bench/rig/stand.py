"""The shared setup of all measurements: fresh servers, settings, topics, and the machine's description."""

import asyncio
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from bench.rig.usage import Servers
from bridge.dev.stack.jars import KAFKA_VERSION
from bridge.dev.stack.kafka import JavaTuning
from bridge.dev.stack.stack import Stack, StackAddresses
from schemas.config.settings import Settings

RESULTS = Path(__file__).parents[1] / "results"
PREFIX = "bench."


@dataclass(frozen=True)
class Stand:
    """Addresses and processes of the servers."""

    addresses: StackAddresses
    servers: Servers


@contextmanager
def processes() -> Iterator[Stand]:
    """Start Kafka and Postgres for this run alone, with Kafka's Java tuned as in production."""
    tuning = JavaTuning(heap="1g", first_tier_only=False)
    with tempfile.TemporaryDirectory(prefix="bridge-bench-") as directory:
        stack = Stack(Path(directory), tuning=tuning)
        try:
            with stack as addresses:
                asyncio.run(_let_measure(addresses))
                status = stack.status()
                yield Stand(addresses, Servers(status.kafka_pid or 0, status.postgres_pid or 0))
        finally:
            # Postgres may keep its files in another place, where ten million rows a run would be left behind.
            stack.purge()


async def _let_measure(addresses: StackAddresses) -> None:
    """Allow the product's role to begin each round with a CHECKPOINT, and to create a second database."""
    role = urlsplit(addresses.database_url).username
    connection = await asyncpg.connect(addresses.admin_database_url)
    await connection.execute(f"GRANT pg_checkpoint TO {role}; ALTER ROLE {role} CREATEDB")
    await connection.close()


@contextmanager
def servers() -> Iterator[StackAddresses]:
    """Start the servers as `processes` does, and yield only their addresses."""
    with processes() as started:
        yield started.addresses


def settings_of(addresses: StackAddresses, prefix: str = PREFIX) -> Settings:
    return Settings(kafka_bootstrap_servers=addresses.kafka, database_url=addresses.database_url, topic_prefix=prefix)


def environment_of(addresses: StackAddresses, prefix: str = PREFIX, **settings: object) -> dict[str, str]:
    """Return the environment of a worker with these settings."""
    return {
        "BRIDGE_METRICS_PORT": "0",
        "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": addresses.kafka,
        "BRIDGE_DATABASE_URL": addresses.database_url,
        "BRIDGE_TOPIC_PREFIX": prefix,
    } | {f"BRIDGE_{name.upper()}": str(value) for name, value in settings.items()}


def machine() -> dict[str, str]:
    """Return the description of the machine, as the results store it."""
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "CPU": f"{os.cpu_count()} x {cpu}",
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "Kafka": KAFKA_VERSION,
        **{name: version(name) for name in ("aiokafka", "asyncpg", "msgspec", "faust-streaming")},
    }


def keep(part: str, result: dict[str, object]) -> None:
    """Store a part's result for the page on performance."""
    RESULTS.mkdir(exist_ok=True)
    whole = {"command": "python -m " + " ".join(["bench", *sys.argv[1:]]), "machine": machine(), **result}
    (RESULTS / f"{part}.json").write_text(json.dumps(whole, indent=2) + "\n")
