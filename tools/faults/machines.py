"""Replicated servers: a Postgres primary with its standby, and three Kafka brokers with a controller."""

import asyncio
import base64
import os
import shutil
import signal
import socket
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import psutil

from bridge.dev.stack.accounts import Account, postgres_account
from bridge.dev.stack.credentials import Credentials
from bridge.dev.stack.kafka import JavaTuning, KafkaNode
from bridge.dev.stack.owner import Owner
from bridge.dev.stack.ports import LOOPBACK, choose
from bridge.dev.stack.postgres import PostgresServer
from bridge.dev.stack.process import Identity, Launch
from tools.faults.servers import launch

START_SECONDS = 90.0
BROKERS = 3


def ports(count: int) -> list[int]:
    """Choose free ports."""
    found: list[int] = []
    for _ in range(count):
        found.append(choose(asked=None, remembered=None, taken=found, purpose="a server"))
    return found


class Machines:
    """Servers that are started, killed and stopped one by one; all die with this process."""

    def __init__(self) -> None:
        self._owner = Owner(owned=True)
        self._running: dict[str, Identity] = {}

    async def start(self, name: str, server: KafkaNode | PostgresServer) -> None:
        """Start a server; return when it is ready."""
        await asyncio.to_thread(self._start, name, server)

    def _start(self, name: str, server: KafkaNode | PostgresServer) -> None:
        launch(self._owner, self._running, name, server, START_SECONDS)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the server and all its processes, as when a machine stops."""
        if process := self._running[name].process():
            for one in (*process.children(recursive=True), process):
                with suppress(psutil.NoSuchProcess):
                    one.send_signal(number)

    async def ended(self, name: str) -> None:
        """Wait for the end of the server's process."""
        while self._running[name].alive():  # noqa: ASYNC110  # a child of the supervisor: nothing tells us
            await asyncio.sleep(0.02)

    def stop(self) -> None:
        """Kill all servers, also stopped ones."""
        for name in self._running:
            with suppress(psutil.NoSuchProcess):
                self.signal(name, signal.SIGCONT)
        self._owner.let_go()


@dataclass(frozen=True)
class StandbyServer(PostgresServer):
    """A Postgres standby, until it is promoted."""

    primary_port: int

    def prepare(self, progress: object) -> Launch:
        launch = super().prepare(lambda _message: None)
        source = f"host={LOOPBACK} port={self.primary_port} user=postgres password={self.credentials.admin}"
        return replace(launch, argv=[*launch.argv, "-c", f"primary_conninfo={source}"])


class Pair:
    """A primary and its standby."""

    def __init__(self, machines: Machines, directory: Path) -> None:
        self._machines = machines
        first, second = ports(2)
        logs = directory / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self.primary = PostgresServer(directory / "primary", logs / "primary.log", first, Credentials.new())
        (directory / "primary").mkdir()
        self._second = second
        self.standby: PostgresServer = self.primary

    @property
    def url(self) -> str:
        """The database URL with both hosts, the primary first, for the product's role."""
        return self.primary.url.replace(f":{self.primary.port}/", f":{self.primary.port},{LOOPBACK}:{self._second}/")

    async def start(self) -> None:
        """Create the primary, copy its files while it is stopped, and start both."""
        await self._machines.start("primary", self.primary)
        await asyncio.to_thread(self.primary.ensure_database)
        self.primary = replace(self.primary, credentials=replace(self.primary.credentials, applied=True))
        self._machines.signal("primary", signal.SIGINT)
        await self._machines.ended("primary")
        directory = self.primary.directory.with_name("standby")
        await asyncio.to_thread(self._copy, directory)
        self.standby = StandbyServer(
            directory, self.primary.log.with_name("standby.log"), self._second, self.primary.credentials,
            self.primary.port,
        )  # fmt: skip
        await self._machines.start("primary", self.primary)
        await self._machines.start("standby", self.standby)

    def _copy(self, directory: Path) -> None:
        home = (self.primary.directory / "postgres").resolve()
        account = postgres_account(home / "data")
        copied = directory / "postgres"
        directory.mkdir()
        shutil.copytree(home, copied, symlinks=True)
        (copied / "data" / "standby.signal").touch()
        (copied / "data" / "postmaster.pid").unlink(missing_ok=True)
        _own(account, (copied, *copied.rglob("*")))
        copied.chmod(home.stat().st_mode)

    async def promote(self) -> None:
        """Promote the standby, regardless of the primary's state."""
        conn = await asyncpg.connect(self.standby.admin_url)
        try:
            await conn.execute("SELECT pg_promote()")
        finally:
            await conn.close()


def _own(account: Account, paths: Iterable[Path]) -> None:
    if account.uid is not None and account.gid is not None:
        for path in paths:
            os.chown(path, account.uid, account.gid, follow_symlinks=False)


_CONTROLLER_ID = 100


def _changed(properties: str, changes: Mapping[str, str | None]) -> str:
    """Return the properties with these values replaced; None removes one."""
    values: dict[str, str | None] = {}
    for line in properties.splitlines():
        if not line.startswith("#"):
            name, _, values[name] = line.partition("=")
    values |= changes
    return "\n".join(f"{name}={value}" for name, value in values.items() if value is not None)


@dataclass(frozen=True)
class Controller(KafkaNode):
    """The KRaft controller, not a broker; its session time-out for brokers is that of a production cluster."""

    cluster: str

    def _properties(self) -> str:
        return _changed(
            super()._properties(),
            {
                "process.roles": "controller",
                "node.id": str(_CONTROLLER_ID),
                "controller.quorum.voters": f"{_CONTROLLER_ID}@{LOOPBACK}:{self.controller_port}",
                "listeners": f"CONTROLLER://{LOOPBACK}:{self.controller_port}",
                "advertised.listeners": None,
                "inter.broker.listener.name": None,
                "broker.session.timeout.ms": None,
                "broker.heartbeat.interval.ms": None,
            },
        )

    def _cluster_id(self) -> str:
        return self.cluster

    def ready(self, _pid: int) -> bool:
        try:
            socket.create_connection((LOOPBACK, self.controller_port), timeout=2).close()
        except OSError:
            return False
        return True


@dataclass(frozen=True)
class Broker(KafkaNode):
    """One of several brokers with a separate controller, as in production.

    If a broker that is also the controller dies, leaders are elected only after the next controller is elected and
    each broker has a new session.
    """

    number: int
    cluster: str

    def _properties(self) -> str:
        topics = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
        return _changed(
            super()._properties(),
            {
                "process.roles": "broker",
                "node.id": str(self.number),
                "controller.quorum.voters": f"{_CONTROLLER_ID}@{LOOPBACK}:{self.controller_port}",
                "listeners": f"CLIENT://{LOOPBACK}:{self.port}",
                "broker.session.timeout.ms": None,
                "broker.heartbeat.interval.ms": None,
                "default.replication.factor": str(BROKERS),
            }
            | {f"{topic}.replication.factor": str(BROKERS) for topic in topics}
            | {f"{topic}.min.isr": "2" for topic in topics if topic != "offsets.topic"},
        )

    def _cluster_id(self) -> str:
        return self.cluster


@dataclass(frozen=True)
class Cluster:
    """Three brokers and their controller, not yet started."""

    controller: Controller
    brokers: tuple[Broker, ...]

    @property
    def address(self) -> str:
        """The bootstrap servers."""
        return ",".join(broker.address for broker in self.brokers)

    async def start(self, machines: Machines) -> None:
        """Start the controller, with which the brokers register, and then the brokers."""
        await machines.start("controller", self.controller)
        await asyncio.gather(*(machines.start(f"kafka-{one.number}", one) for one in self.brokers))


def make_cluster(directory: Path) -> Cluster:
    """Make a cluster whose files are below the directory."""
    *found, voting, unused = ports(BROKERS + 2)
    name = base64.urlsafe_b64encode(b"\x10" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
    logs = directory / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    controller = Controller(
        directory / "controller", logs / "controller.log", unused, voting, JavaTuning(heap="256m"), name
    )
    brokers = (
        Broker(
            directory / f"kafka-{number}", logs / f"kafka-{number}.log", port, voting, JavaTuning(heap="384m"),
            number, name,
        )
        for number, port in enumerate(found, 1)
    )  # fmt: skip
    return Cluster(controller, tuple(brokers))
