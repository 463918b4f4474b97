"""The running product of a live test: workers and gateways as processes, and a steady load with some duplicates."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from aiokafka.errors import KafkaError
from support.events.settled import SECRET, environment_of, event
from support.processes.command import words
from support.processes.gateway import bearer, body
from support.processes.programs import environment
from support.wait import wait_until

from bridge.dev.stack.ports import LOOPBACK, choose
from schemas.config.settings import Settings
from sinks.kafka.producer import make_producer
from sinks.postgres.tokens.script_tokens import create_token

RATE = 100
"""Events a second."""
DUPLICATES_EVERY = 20
REQUESTS = 10
"""Requests a second, if there is a gateway."""
STRANGERS_EVERY = 50
"""One request of this many has no key."""

Make = Callable[[int], bytes]

# The product's timers are shortened by the same factor as the rules.
QUICK = {
    "BRIDGE_LAG_INTERVAL": "500ms",
    "BRIDGE_BACKLOG_INTERVAL": "500ms",
    "BRIDGE_REGISTRY_REFRESH": "500ms",
    "BRIDGE_GATE_INTERVAL": "500ms",
    "BRIDGE_GATE_WINDOW": "1m",
    "BRIDGE_BRAKE_MIN_EVENTS": "100",
    "BRIDGE_BRAKE_WINDOW": "5s",
    "BRIDGE_LANES": "2",
}


@dataclass
class Product:
    """The processes and the load. `make`, which makes the events, `rate` and `requests` may be changed during the load.

    `key` is the API key of the requests to the gateways, `batch` the number of events in each request.
    """

    settings: Settings
    directory: Path
    environment: dict[str, str]
    make: Make = event
    rate: float = RATE
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    gateways: list[subprocess.Popen[bytes]] = field(default_factory=list)
    gateway_targets: list[str] = field(default_factory=list)
    requests: float = REQUESTS
    batch: int = 1
    key: str = ""
    sent: int = 0
    leave: AsyncExitStack = field(default_factory=AsyncExitStack)
    """Callbacks to undo faults, run at the end."""

    @property
    def scraped(self) -> dict[str, list[str]]:
        """The targets for Prometheus by the names of its jobs."""
        jobs = {"bridge-worker": self.targets, "bridge-gateway": self.gateway_targets}
        return {job: targets for job, targets in jobs.items() if targets}

    def start_worker(self) -> None:
        """Start one more worker on its own port."""
        port = self._port()
        self.workers.append(self._launch("worker", port))
        self.targets.append(f"{LOOPBACK}:{port}")

    async def start_gateway(self) -> None:
        """Start one more gateway, and create a key of the first script if there is none yet."""
        self.key = self.key or (await create_token(self.settings.dsn, "s1")).text
        port = self._port()
        self.gateways.append(self._launch("gateway", port))
        self.gateway_targets.append(f"{LOOPBACK}:{port}")

    def _port(self) -> int:
        taken = [int(target.split(":")[1]) for target in (*self.targets, *self.gateway_targets)]
        return choose(asked=None, remembered=None, taken=taken, purpose="metrics")

    def _launch(self, command: str, port: int) -> subprocess.Popen[bytes]:
        own = {f"BRIDGE_{name}_PORT": str(port) for name in ("METRICS", "GATEWAY")} | {"BRIDGE_SECRET_KEY": SECRET}
        with (self.directory / f"bridge-{command}-{port}.log").open("ab") as log:
            return subprocess.Popen(
                words(command),
                env=environment(self.environment | own),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def logs(self) -> str:
        """The last lines of the logs of workers and gateways."""
        return "\n".join(path.read_text()[-2000:] for path in self.directory.glob("bridge-*.log"))

    async def load(self) -> None:
        """Send events at the rate until cancelled; every twentieth is sent twice."""
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

    async def ask(self) -> None:
        """Send requests to the first gateway until cancelled, a few of them without a key; ignore the responses."""
        url = f"http://{self.gateway_targets[0]}/api/bridge/s1/events"
        number, due = 0, time.monotonic()
        async with httpx.AsyncClient(timeout=5) as client:
            while True:
                due = max(due + 1 / self.requests, time.monotonic() - 1)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                number += 1
                now = time.time_ns() // 1_000_000
                sent = [
                    {"event_id": f"r-{number}-{one}", "event_type": "click", "occurred_at": now}
                    for one in range(self.batch)
                ]
                shown = {} if number % STRANGERS_EVERY == 0 else bearer(self.key)
                with suppress(httpx.HTTPError):
                    await client.post(url, content=body(*sent), headers=shown)


@asynccontextmanager
async def running(
    settings: Settings, directory: Path, *, workers: int = 1, gateways: int = 0, **more: str
) -> AsyncIterator[Product]:
    """Run workers that commit, gateways and the load until the block ends; scripts and topics have to exist."""
    product = Product(settings, directory, environment_of(settings, **(QUICK | more)))
    loading: list[asyncio.Task[None]] = []
    try:
        for _ in range(workers):
            product.start_worker()
        for _ in range(gateways):
            await product.start_gateway()
        loading.append(asyncio.create_task(product.load()))
        shown = [(target, b"bridge_lag_seconds{") for target in product.targets]
        shown += [(target, b"bridge_gateway_bytes_in_flight{") for target in product.gateway_targets]
        for target, series in shown:
            await wait_until(
                lambda target=target, series=series: _serves(target, series),
                budget_seconds=60,
                describe=product.logs,
            )
        if gateways:
            loading.append(asyncio.create_task(product.ask()))
        yield product
    finally:
        try:
            # First: the end of the load waits for a Kafka that responds.
            await product.leave.aclose()
        finally:
            for task in loading:
                task.cancel()
            await asyncio.gather(*loading, return_exceptions=True)
            for process in (*product.workers, *product.gateways):
                process.kill()
                process.wait(10)


async def _serves(target: str, series: bytes) -> bool:
    """Whether the metrics page has such a series."""
    host, port = target.split(":")
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    try:
        writer.write(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return series in await reader.read(-1)
    except OSError:
        return False
    finally:
        writer.close()
