"""Exactness under fire: real workers that come, go and are killed, and the proof from an independent record."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import asyncpg
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas.settings import Settings
from sinks.audit import audit
from sinks.kafka import make_producer
from sinks.topics_admin import apply_topics
from support.wait import wait_until

SITES = 20
KILLED_WORKER = Path(__file__).with_name("killed_worker.py")


@dataclass
class Produced:
    """What was acknowledged by Kafka, written down apart from anything the product counts."""

    total: int = 0
    keys: set[tuple[int, str]] = field(default_factory=set)
    valid: int = 0
    invalid: int = 0
    unknown: int = 0


@dataclass
class Campaign:
    """One run on its own topics, group and database."""

    kafka: str
    database_url: str
    prefix: str
    log_directory: Path
    retry_delays: str = "1s,2s"
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    produced: Produced = field(default_factory=Produced)
    connection: asyncpg.Connection | None = None

    @cached_property
    def settings(self) -> Settings:
        return Settings(
            kafka_bootstrap_servers=self.kafka,
            database_url=self.database_url,
            topic_prefix=self.prefix,
            group=f"{self.prefix}group",
            retry_delays=self.retry_delays,
            topic_partitions=6,
        )

    @cached_property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "BRIDGE_DATABASE_URL": self.database_url,
            "BRIDGE_TOPIC_PREFIX": self.prefix,
            "BRIDGE_GROUP": f"{self.prefix}group",
            "BRIDGE_RETRY_DELAYS": self.retry_delays,
            "BRIDGE_TOPIC_PARTITIONS": "6",
            "BRIDGE_BATCH_MAX_RECORDS": "2000",
            "BRIDGE_SESSION_TIMEOUT": "6s",  # the least a broker allows: a killed worker is missed soon
        }

    async def prepare(self) -> None:
        """Topics, and scripts for every site; `late-*` scripts are left out until `register_late`."""
        await apply_topics(self.settings)
        connection = self.connection = await asyncpg.connect(self.database_url)
        for site in range(1, SITES + 1):
            await connection.execute("INSERT INTO site (site_id) VALUES ($1)", site)
            await connection.execute("INSERT INTO script (script_id, site_id) VALUES ($1, $2)", f"script-{site}", site)

    async def register_late(self) -> None:
        for site in range(1, SITES + 1):
            await self.database.execute("INSERT INTO script (script_id, site_id) VALUES ($1, $2)", f"late-{site}", site)

    @property
    def database(self) -> asyncpg.Connection:
        assert self.connection is not None, "prepare() comes first"
        return self.connection

    def start(self, name: str, *, kill_at: str | None = None) -> subprocess.Popen[bytes]:
        """A worker process as a user starts it, or one that ends itself with SIGKILL at a point in the code."""
        command = [str(Path(sys.executable).with_name("bridge")), "worker"]
        if kill_at is not None:
            command = [sys.executable, str(KILLED_WORKER), kill_at]
        with (self.log_directory / f"{name}.log").open("wb") as log:
            worker = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        self.workers[name] = worker
        return worker

    def log_of(self, name: str) -> str:
        return (self.log_directory / f"{name}.log").read_text(errors="replace")

    def kill(self, name: str) -> None:
        worker = self.workers.pop(name)
        worker.send_signal(signal.SIGKILL)
        worker.wait(30)

    async def terminate(self, name: str) -> int:
        worker = self.workers.pop(name)
        worker.terminate()
        return await asyncio.to_thread(worker.wait, 60)

    async def end_all(self) -> None:
        for name in list(self.workers):
            self.kill(name)
        if self.connection is not None:
            await self.connection.close()

    async def settled(self) -> int:
        found: int = await self.database.fetchval(
            "SELECT coalesce(sum(next_offset), 0)::bigint FROM stream_offset WHERE topic = $1",
            f"{self.prefix}raw",
        )
        return found

    async def reach(self, count: int, budget_seconds: float = 300) -> None:
        """Waits until that many raw offsets are settled; a worker that died by itself fails at once."""

        async def there() -> bool:
            for name, worker in self.workers.items():
                code = worker.poll()
                assert code in (None, -signal.SIGKILL), f"{name} ended with {code}: {self.log_of(name)[-3000:]}"
            return await self.settled() >= count

        await wait_until(there, budget_seconds=budget_seconds, describe=f"{count} raw offsets settled")

    async def drained(self, budget_seconds: float = 120) -> None:
        """Waits until every raw event is settled and no retry is waiting."""
        await self.reach(self.produced.total, budget_seconds)

        async def none_waiting() -> bool:
            return bool(await self.database.fetchval("SELECT count(*) = 0 FROM bridge_event_raw WHERE NOT normalized"))

        await wait_until(none_waiting, budget_seconds=budget_seconds, describe="no retry waits")

    async def publish(self, count: int, seed: int) -> None:
        """Publishes the load; only what Kafka acknowledged is written down."""
        producer = make_producer(self.settings, enable_idempotence=True, linger_ms=20)
        await producer.start()
        pending: list[asyncio.Future[object]] = []
        try:
            for key, value in self._records(count, seed):
                pending.append(await producer.send(self.settings.topics.raw, value, key=key))
                if len(pending) >= 10_000:
                    await asyncio.gather(*pending)
                    pending.clear()
            await asyncio.gather(*pending)
        finally:
            await producer.stop()
        self.produced.total += count

    def _records(self, count: int, seed: int) -> Iterator[tuple[bytes, bytes]]:
        rng = random.Random(seed)
        recent: list[tuple[int, str]] = []
        produced = self.produced
        for index in range(count):
            draw = rng.random()
            if draw < 0.05 and recent:
                site, event_id = recent[rng.randrange(len(recent))]
            else:
                site, event_id = rng.randint(1, SITES), str(uuid.UUID(int=rng.getrandbits(128)))
                recent.append((site, event_id))
                del recent[:-50_000]
            key = f"{site}:{event_id}".encode()
            event = {
                "event_id": event_id, "site_id": site, "script_id": f"script-{site}", "event_type": "click",
                "occurred_at": int(time.time() * 1000), "properties": {"index": index},
            }  # fmt: skip
            if 0.05 <= draw < 0.06:
                produced.invalid += 1
                recent.pop()
                yield key, b"{broken"
                continue
            if 0.06 <= draw < 0.062:
                produced.unknown += 1
                recent.pop()
                event["script_id"] = "never-registered"
                yield key, json.dumps(event).encode()
                continue
            if 0.062 <= draw < 0.064:
                event["script_id"] = f"late-{site}"
            produced.valid += 1
            produced.keys.add((site, event_id))
            yield key, json.dumps(event).encode()

    async def prove(self) -> None:
        """Every claim of guarantee 1 and 2, from the independent record, the rows, the windows and Kafka."""
        rows = await self.database.fetch("SELECT site_id, event_id FROM bridge_event")
        found = Counter((row["site_id"], row["event_id"]) for row in rows)
        windows = await self.database.fetchrow(
            "SELECT sum(normalized)::bigint, sum(retried)::bigint, sum(dropped)::bigint, "
            "sum(dropped_duplicate_event_id)::bigint, sum(dropped_retry_exhausted)::bigint, "
            "sum(dropped_invalid_payload_json)::bigint FROM gate_window"
        )
        ledger = await self.database.fetchrow(
            "SELECT coalesce(sum(retry_count), 0)::bigint, "
            "count(*) FILTER (WHERE dropped_reason IS NOT NULL) FROM bridge_event_raw"
        )
        produced = self.produced
        duplicates = produced.valid - len(produced.keys)

        assert produced.keys == set(found)
        assert [key for key, count in found.items() if count > 1] == []
        assert (len(produced.keys), duplicates, produced.unknown, produced.invalid) == (
            windows[0], windows[3], windows[4], windows[5],
        )  # fmt: skip
        assert (windows[1], windows[2]) == tuple(ledger)
        report = await audit(self.settings)
        assert report.balanced, report.problems
        await wait_until(self.kafka_at_the_end, budget_seconds=30, describe="Kafka's committed offsets reach the end")

    async def kafka_at_the_end(self) -> bool:
        """Whether the group's committed offsets stand at the ends of all logs it reads."""
        settings = self.settings
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka)
        await admin.start()
        await consumer.start()
        try:
            committed = await admin.list_consumer_group_offsets(settings.group)
            partitions = [
                KafkaPartition(topic, partition)
                for topic in (settings.topics.raw, *settings.topics.retries)
                for partition in range(6)
            ]
            ends = await consumer.end_offsets(partitions)
            return all(
                ends[partition] == (committed[partition].offset if partition in committed else 0)
                for partition in partitions
            )
        finally:
            await consumer.stop()
            await admin.close()
