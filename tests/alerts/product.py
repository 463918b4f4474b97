"""The running product of a live test: workers as processes, and a steady load with duplicates among it."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from aiokafka.errors import KafkaError
from support.command import words
from support.programs import environment
from support.settled import environment_of, event
from support.wait import wait_until

from bridge.stack.ports import LOOPBACK, choose
from schemas.settings import Settings
from sinks.kafka import make_producer

RATE = 100
"""Events a second."""
DUPLICATES_EVERY = 20

Make = Callable[[int], bytes]

# What the product does on timers is as much quicker as the rules are.
QUICK = {
    "BRIDGE_LAG_INTERVAL": "500ms",
    "BRIDGE_BACKLOG_INTERVAL": "500ms",
    "BRIDGE_GATE_INTERVAL": "500ms",
    "BRIDGE_GATE_WINDOW": "1m",
    "BRIDGE_BRAKE_MIN_EVENTS": "100",
    "BRIDGE_BRAKE_WINDOW": "5s",
    "BRIDGE_LANES": "2",
}


@dataclass
class Product:
    """`make` makes the events from now on; it may be exchanged while the load goes on, as may `rate`."""

    settings: Settings
    directory: Path
    environment: dict[str, str]
    make: Make = event
    rate: float = RATE
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    sent: int = 0
    kept: list[asyncpg.Connection] = field(default_factory=list)

    def start_worker(self) -> None:
        """One more worker, on a port of its own."""
        port = str(choose(asked=None, remembered=None, taken=[], purpose="metrics"))
        self.workers.append(self._launch(port))
        self.targets.append(f"{LOOPBACK}:{port}")

    def _launch(self, port: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"worker-{port}.log").open("ab") as log:
            return subprocess.Popen(
                words("worker"),
                env=environment(self.environment | {"BRIDGE_METRICS_PORT": port}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def start_again(self) -> None:
        """A worker in the place of the first, on its port."""
        self.workers[0] = self._launch(self.targets[0].split(":")[1])

    def logs(self) -> str:
        """What the workers said last."""
        return "\n".join(path.read_text()[-2000:] for path in self.directory.glob("worker-*.log"))

    async def load(self) -> None:
        """Sends events at the rate until cancelled; every twentieth is sent twice."""
        async with make_producer(self.settings) as producer:
            due = time.monotonic()
            while True:
                due = max(due + 1 / self.rate, time.monotonic() - 1)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                value = self.make(self.sent)
                copies = 2 if self.sent % DUPLICATES_EVERY == 0 else 1
                with suppress(KafkaError):
                    for _ in range(copies):
                        await producer.send(
                            self.settings.topics.raw, value, partition=self.sent % self.settings.topic_partitions
                        )
                self.sent += 1


@asynccontextmanager
async def running(
    settings: Settings, directory: Path, *, workers: int = 1, load: bool = True, **more: str
) -> AsyncIterator[Product]:
    """Workers that settle, and the load, until the block ends; the scripts and topics are there already."""
    product = Product(settings, directory, environment_of(settings, **(QUICK | more)))
    loading: asyncio.Task[None] | None = None
    try:
        for _ in range(workers):
            product.start_worker()
        if load:
            loading = asyncio.create_task(product.load())
        for target in product.targets:
            await wait_until(
                lambda target=target: _serves(target),
                budget_seconds=60,
                describe=product.logs,
            )
        yield product
    finally:
        if loading is not None:
            loading.cancel()
            with suppress(asyncio.CancelledError):
                await loading
        for worker in product.workers:
            worker.kill()
            worker.wait(10)
        for conn in product.kept:
            await conn.close()


async def _serves(target: str) -> bool:
    """Whether the worker's page shows an event that was settled."""
    host, port = target.split(":")
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    try:
        writer.write(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return b"bridge_lag_seconds{" in await reader.read(-1)
    except OSError:
        return False
    finally:
        writer.close()
