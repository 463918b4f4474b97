"""Kafka and Postgres of one run, by the product's own launcher; each can be killed and started separately."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from support.events.settled import prepare, settings_for

from bridge.dev.stack.credentials import Credentials
from bridge.dev.stack.kafka import JavaTuning, KafkaNode
from bridge.dev.stack.owner import Owner
from bridge.dev.stack.ports import LOOPBACK, choose
from bridge.dev.stack.postgres import PostgresServer
from bridge.dev.stack.process import Identity
from bridge.dev.stack.starting import start_server
from schemas.config.settings import Settings
from sinks.postgres.schema.migrate import migrate

START_SECONDS = 240.0
"""Long, because Java alone takes a minute on a busy machine; the death of a server is noticed immediately."""


def launch(
    owner: Owner, running: dict[str, Identity], name: str, server: KafkaNode | PostgresServer, seconds: float
) -> None:
    """Start a server, add it to `running`, and return when it is ready, within so many seconds."""
    start_server(
        name,
        server,
        owner,
        launched=lambda identity: running.update({name: identity}),
        cancelled=lambda: False,
        timeout_seconds=seconds,
        progress=lambda _message: None,
    )


@dataclass(frozen=True)
class ProxiedKafka(KafkaNode):
    """A node with a second listener that advertises the proxy's port, so that clients stay on the proxy."""

    behind_proxy_port: int
    proxy_port: int

    def _properties(self) -> str:
        own = super()._properties()
        for name, address in (("listeners", self.behind_proxy_port), ("advertised.listeners", self.proxy_port)):
            own = own.replace(f"\n{name}=CLIENT:", f"\n{name}=PROXIED://{LOOPBACK}:{address},CLIENT:")
        return own.replace("CLIENT:PLAINTEXT,", "PROXIED:PLAINTEXT,CLIENT:PLAINTEXT,")


class Servers:
    """Both servers; they end with this process."""

    def __init__(self, directory: Path) -> None:
        ports: list[int] = []
        for purpose in ("Kafka", "Postgres", "the controller", "Kafka behind its proxy", "a proxy", "a proxy"):
            ports.append(choose(asked=None, remembered=None, taken=ports, purpose=purpose))
        self.kafka_port, self.postgres_port, controller, self.behind_proxy_port, *proxies = ports
        self.kafka_proxy_port, self.postgres_proxy_port = proxies
        logs = directory / "logs"
        logs.mkdir(parents=True)
        self._kafka = ProxiedKafka(
            directory / "kafka",
            logs / "kafka.log",
            self.kafka_port,
            controller,
            JavaTuning(),
            self.behind_proxy_port,
            self.kafka_proxy_port,
        )
        self._postgres = PostgresServer(directory, logs / "postgres.log", self.postgres_port, Credentials.new())
        self._owner: Owner | None = None
        self._running: dict[str, Identity] = {}

    @property
    def kafka(self) -> str:
        """Kafka's address past the proxy."""
        return self._kafka.address

    @property
    def database_url(self) -> str:
        """The database's URL past the proxy."""
        return self._postgres.url

    @property
    def admin_database_url(self) -> str:
        """The database's URL for the superuser, past the proxy."""
        return self._postgres.admin_url

    @property
    def data_directory(self) -> Path:
        """Postgres' data directory."""
        return (self._postgres.directory / "postgres").resolve() / "data"

    @property
    def kafka_logs(self) -> Path:
        """Kafka's log directory, with a directory for each partition."""
        return self._kafka.home / "logs"

    async def start(self) -> None:
        self._owner = Owner(owned=True)
        await asyncio.gather(self.start_kafka(), self.start_postgres())
        await asyncio.to_thread(self._postgres.ensure_database)
        applied = replace(self._postgres.credentials, applied=True)
        self._postgres = replace(self._postgres, credentials=applied)

    async def start_kafka(self) -> None:
        await asyncio.to_thread(self._start, "kafka", self._kafka)

    async def start_postgres(self) -> None:
        await asyncio.to_thread(self._start, "postgres", self._postgres)

    def _start(self, name: str, server: KafkaNode | PostgresServer) -> None:
        assert self._owner is not None, "start() comes first"
        launch(self._owner, self._running, name, server, START_SECONDS)

    def signal(self, name: str, number: signal.Signals) -> int:
        """Send the server a signal; return its pid."""
        pid = self._running[name].pid
        os.kill(pid, number)
        return pid

    async def ended(self, name: str) -> None:
        """Wait for the end of the server's process."""
        while self._running[name].alive():  # noqa: ASYNC110  # a child of the supervisor: nothing tells us
            await asyncio.sleep(0.02)

    def stop(self) -> None:
        for identity in self._running.values():
            if process := identity.process():
                process.send_signal(signal.SIGCONT)
        if self._owner is not None:
            self._owner.let_go()


@asynccontextmanager
async def prepared_servers(directory: Path, prefix: str) -> AsyncIterator[tuple[Servers, Settings]]:
    """Start servers that may be killed, with schema, scripts and topics of this prefix."""
    servers = Servers(directory)
    try:
        await servers.start()
        settings = settings_for(servers.kafka, servers.database_url, prefix)
        await migrate(settings.dsn)
        await prepare(settings)
        yield servers, settings
    finally:
        servers.stop()
