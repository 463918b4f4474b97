"""Starts, stops and describes the embedded Kafka and Postgres of one directory."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from types import TracebackType

from bridge.dev.stack import kafka, postgres, state
from bridge.dev.stack.accounts import postgres_account
from bridge.dev.stack.credentials import Credentials
from bridge.dev.stack.databases import DATABASE, SUPERUSER
from bridge.dev.stack.kafka import JavaTuning, KafkaNode
from bridge.dev.stack.owner import Owner
from bridge.dev.stack.ports import LOOPBACK, choose
from bridge.dev.stack.postgres import PostgresServer
from bridge.dev.stack.private import close_directory, close_if_own, make_directory, refuse_strangers, remove, usable
from bridge.dev.stack.process import Identity, end
from bridge.dev.stack.starting import start_server
from bridge.dev.stack.state import ServerState, StackState
from schemas.errors import InvalidInput, PreconditionFailed

_FREE_BYTES = 1 << 30
_LOCK_SECONDS = 300.0
_STOP_SECONDS = 20.0
# On a busy machine, Java alone takes a minute. A server that dies is detected earlier.
_START_SECONDS = 240.0
_OWN_NAMES = ("kafka", "logs", "postgres", state.FILE_NAME, f".{state.FILE_NAME}.new", state.LOCK_NAME)


def _silent(_message: str) -> None:
    return None


@dataclass(frozen=True)
class StackAddresses:
    """Addresses of the servers. The URLs contain passwords.

    `database_url` is for the product's role, which owns its database. `admin_database_url` is for the superuser.
    """

    kafka: str
    database_url: str = field(repr=False)
    admin_database_url: str = field(repr=False)


@dataclass(frozen=True)
class StackStatus:
    """Whether the stack of a directory runs, and its processes. `running` is false if only one of the servers runs."""

    running: bool
    directory: str
    kafka: str | None = None
    database_url: str | None = field(default=None, repr=False)
    admin_database_url: str | None = field(default=None, repr=False)
    kafka_pid: int | None = None
    postgres_pid: int | None = None
    owner_pid: int | None = None
    supervisor_pid: int | None = None


class Stack:
    """The embedded servers of one directory, which contains all of their state."""

    def __init__(
        self,
        directory: Path,
        *,
        kafka_port: int | None = None,
        postgres_port: int | None = None,
        tuning: JavaTuning | None = None,
        start_timeout_seconds: float = _START_SECONDS,
        progress: Callable[[str], None] = _silent,
    ) -> None:
        self.directory = Path(directory).absolute()
        self._kafka_port = kafka_port
        self._postgres_port = postgres_port
        self._tuning = tuning or JavaTuning()
        self._timeout = start_timeout_seconds
        self._progress = progress
        self._owner: Owner | None = None

    def start(self, *, owned: bool = True) -> StackAddresses:
        """Start both servers, unless they run already.

        If `owned`, servers that this call starts end with this process.
        """
        self._refuse_strangers()
        self._prepare_directory()
        with self._changing():
            before = state.read(self.directory)
            if before is not None and before.running():
                if not before.credentials.applied:
                    raise InvalidInput(
                        f"the stack in {self.directory} was started by an earlier release, and its Postgres requires no "
                        "password; stop it with `bridge stack down`, then start it again"
                    )
                self._refuse_other_ports(before)
                owner = f", as long as its owner (pid {before.owner.pid})" if before.owner else ""
                self._progress(f"the stack in {self.directory} already runs{owner}")
                return self._addresses(before)
            if before is not None:
                _end_servers(before)
            return self._start(self._choose_ports(before), owned=owned)

    def stop(self) -> None:
        """Stop the servers of this directory, even if another process started them; their data stays."""
        self._refuse_strangers()
        if state.exists(self.directory):
            with self._changing():
                found = state.read(self.directory)
                if found is not None:
                    _end_servers(found)
                    servers = ServerState(found.kafka.port), ServerState(found.postgres.port)
                    state.write(self.directory, StackState(*servers, found.controller_port, found.credentials))
        if self._owner is not None:
            self._owner.let_go()
            self._owner = None

    def purge(self) -> None:
        """Stop the servers and delete their data."""
        self.stop()
        if not self.directory.exists():
            return
        with self._changing():
            postgres.remove_files(self.directory)
            for name in ("kafka", "logs"):
                remove(self.directory / name, ignore_errors=True)
            for name in (state.FILE_NAME, state.LOCK_NAME):
                (self.directory / name).unlink(missing_ok=True)
        # The directory may contain other files too.
        with suppress(OSError):
            self.directory.rmdir()

    def status(self) -> StackStatus:
        """Return the current status."""
        self._refuse_strangers()
        found = state.read(self.directory)
        status = StackStatus(running=False, directory=str(self.directory))
        if found is None:
            return status
        status = replace(status, kafka_pid=found.kafka.alive_pid(), postgres_pid=found.postgres.alive_pid())
        if not found.running():
            return status
        addresses = asdict(self._addresses(found))
        owner_pid = found.owner.pid if found.owner else None
        return replace(status, running=True, **addresses, owner_pid=owner_pid, supervisor_pid=found.supervisor_pid)

    def __enter__(self) -> StackAddresses:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A stack that already runs belongs to the process that started it.
        if self._owner is not None:
            self.stop()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Lock the directory for a change within the block; report a file system's error in one line."""
        try:
            with state.locked(self.directory, timeout_seconds=_LOCK_SECONDS):
                yield
        except OSError as error:
            name = error.filename or self.directory
            raise PreconditionFailed(f"can't use {name} for the stack: {error.strerror or error}") from error

    def _refuse_strangers(self) -> None:
        refuse_strangers(self.directory, _OWN_NAMES)

    def _prepare_directory(self) -> None:
        if any(character in str(self.directory) for character in ",\\\n\r"):
            raise InvalidInput(
                f"the stack's directory {str(self.directory)!r} has a comma, backslash or line break, "
                "which Kafka's settings do not allow; choose another directory"
            )
        with usable(self.directory):
            make_directory(self.directory / "logs")
            # Another account may have created entries since the earlier check.
            self._refuse_strangers()
            close_directory(self.directory / "logs")
            account = postgres_account(self.directory / "postgres" / "data")
            close_if_own(self.directory, _OWN_NAMES, group=account.gid)
            free = shutil.disk_usage(self.directory).free
        if free < _FREE_BYTES:
            raise PreconditionFailed(
                f"only {free >> 20} MiB are free for {self.directory} and the stack needs {_FREE_BYTES >> 20} MiB; "
                "free some space or choose a directory on another disk"
            )

    def _refuse_other_ports(self, found: StackState) -> None:
        for purpose, asked, has in (
            ("Kafka", self._kafka_port, found.kafka.port),
            ("Postgres", self._postgres_port, found.postgres.port),
        ):
            if asked is not None and asked != has:
                raise InvalidInput(
                    f"the stack in {self.directory} already runs with {purpose} on port {has}, "
                    f"not {asked}; stop it first, or leave out the port"
                )

    def _choose_ports(self, before: StackState | None) -> StackState:
        last = (before.kafka.port, before.postgres.port, before.controller_port) if before else (None, None, None)
        wanted = (("Kafka", self._kafka_port), ("Postgres", self._postgres_port), ("Kafka's controller", None))
        taken: list[int] = []
        for (purpose, asked), remembered in zip(wanted, last, strict=True):
            taken.append(choose(asked=asked, remembered=remembered, taken=taken, purpose=purpose))
        kafka_port, postgres_port, controller_port = taken
        credentials = before.credentials if before else Credentials.new()
        return StackState(ServerState(kafka_port), ServerState(postgres_port), controller_port, credentials)

    def _start(self, planned: StackState, *, owned: bool) -> StackAddresses:
        owner = Owner(owned=owned)
        start = partial(start_server, owner=owner, timeout_seconds=self._timeout, progress=self._progress)
        starter = _Starter(self.directory, planned, start)
        try:
            started = starter.run(*self._servers(planned))
            if owned:
                started = replace(started, owner=Identity.of(os.getpid()), supervisor_pid=owner.pid)
            started = replace(started, ready=True, credentials=replace(started.credentials, applied=True))
            state.write(self.directory, started)
        except BaseException:
            _end_servers(starter.state)
            owner.let_go()
            raise
        if owned:
            self._owner = owner
        else:
            owner.let_go()
        return self._addresses(started)

    def _servers(self, found: StackState) -> tuple[KafkaNode, PostgresServer]:
        logs, ports = self.directory / "logs", (found.kafka.port, found.controller_port)
        node = KafkaNode(self.directory / "kafka", logs / "kafka.log", *ports, self._tuning)
        return node, PostgresServer(self.directory, logs / "postgres.log", found.postgres.port, found.credentials)

    def _addresses(self, found: StackState) -> StackAddresses:
        node, server = self._servers(found)
        if found.ready and not found.credentials.applied:
            # An earlier release started this server, whose only role needs no password.
            url = f"postgresql://{SUPERUSER}@{LOOPBACK}:{server.port}/{DATABASE}"
            return StackAddresses(node.address, url, url)
        return StackAddresses(node.address, server.url, server.admin_url)


class _Starter:
    """Starts Kafka and Postgres at the same time, and writes each process to the stack's state when it is launched."""

    def __init__(self, directory: Path, planned: StackState, start: Callable[..., None]) -> None:
        self.state = planned
        self._directory = directory
        self._start_server = start
        self._mutex = threading.Lock()
        self._cancelled = threading.Event()

    def run(self, kafka: KafkaNode, postgres: PostgresServer) -> StackState:
        """Start both servers. Returns when both answer; raises the error of the first server that does not answer."""
        state.write(self._directory, self.state)
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix="stack-start") as pool:
            futures = [pool.submit(self._start_kafka, kafka), pool.submit(self._start_postgres, postgres)]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            finally:
                self._cancelled.set()
        return self.state

    def _start_kafka(self, server: KafkaNode) -> None:
        self._start("Kafka", server, lambda found: replace(self.state, kafka=found))

    def _start_postgres(self, server: PostgresServer) -> None:
        self._start("Postgres", server, lambda found: replace(self.state, postgres=found))
        server.ensure_database()

    def _start(
        self, name: str, server: KafkaNode | PostgresServer, changed: Callable[[ServerState], StackState]
    ) -> None:
        def launched(identity: Identity) -> None:
            with self._mutex:
                self.state = changed(ServerState(server.port, identity.pid, identity.created, identity.started))
                state.write(self._directory, self.state)

        self._start_server(name, server, launched=launched, cancelled=self._cancelled.is_set)


def _end_servers(found: StackState) -> None:
    servers = (found.kafka.identity(), kafka.STOP_SIGNAL), (found.postgres.identity(), postgres.STOP_SIGNAL)
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="stack-stop") as pool:
        futures = [
            pool.submit(end, identity, stop_signal=stop_signal, grace_seconds=_STOP_SECONDS)
            for identity, stop_signal in servers
            if identity is not None
        ]
        for future in futures:
            future.result()
