"""One set of servers for a test run, shared by the workers of pytest-xdist and started on the first request.

xdist's controller owns the servers, since it outlives every worker; without xdist pytest's one process does. They end
with their owner, also when it is killed.
"""

import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from typing import Any, NamedTuple, cast

import pytest

from bridge.dev.stack import StackAddresses
from bridge.dev.stack.ports import LOOPBACK
from support.infrastructure.databases import create_database, drop_database, run_apart
from support.infrastructure.servers import SERVERS

_WAITING_WORKERS = 64


class Servers(NamedTuple):
    """Addresses, and a migrated template database: a copy takes a fraction of a migration's time."""

    addresses: StackAddresses
    template_database: str


@contextmanager
def prepared(stack: str) -> Iterator[Servers]:
    """Start the servers of that kind of `--stack`, with the template database."""
    from sinks.postgres.schema.migrate import migrate

    with SERVERS[stack]() as addresses:
        name = f"template_{secrets.token_hex(4)}"
        url = create_database(addresses, name)
        try:
            run_apart(migrate(url))
            yield Servers(addresses, name)
        finally:
            drop_database(addresses, name)


class SharedServers:
    """Servers that start at the first `get`, from any thread or process, and end at `close`."""

    def __init__(self, start: AbstractContextManager[Servers]) -> None:
        self._start = start
        self._mutex = threading.Lock()
        self._running = ExitStack()
        self._servers: Servers | Exception | None = None
        self._listener: Listener | None = None
        self._key = secrets.token_bytes(32)

    def get(self) -> Servers:
        """Return the servers; the first call starts them. A failed start isn't repeated: each call raises its error."""
        with self._mutex:
            if self._servers is None:
                try:
                    self._servers = self._running.enter_context(self._start)
                except Exception as error:  # noqa: BLE001  # it fails each test that asks
                    self._servers = error
            if isinstance(self._servers, Exception):
                raise self._servers
            return self._servers

    def invitation(self) -> tuple[str, int, str]:
        """The argument of `ask` for other processes of this run."""
        if self._listener is None:
            self._listener = Listener((LOOPBACK, 0), backlog=_WAITING_WORKERS, authkey=self._key)
            threading.Thread(target=self._answer, args=(self._listener,), daemon=True).start()
        host, port = self._listener.address
        return host, port, self._key.hex()

    def _answer(self, listener: Listener) -> None:
        while True:
            try:
                with listener.accept() as connection:
                    try:
                        connection.send((self.get(), ""))
                    except Exception as error:  # noqa: BLE001  # the worker's tests fail with it
                        connection.send((None, f"{type(error).__name__}: {error}"))
            except (OSError, EOFError, AuthenticationError):
                # Either the worker died during its request, or `close` has closed the listener.
                if self._listener is None:
                    return

    def close(self) -> None:
        """Stop and remove the servers; wait for a start in progress first."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        with self._mutex:
            self._servers = RuntimeError("the servers of this run have ended")
            self._running.close()


def ask(invitation: tuple[str, int, str]) -> Servers:
    """Request the servers of the inviting process, after their start; raises RuntimeError if they did not start."""
    host, port, key = invitation
    with Client((host, port), authkey=bytes.fromhex(key)) as connection:
        found, error = connection.recv()
    if found is None:
        raise RuntimeError(f"the servers of this run did not start: {error}")
    return cast("Servers", found)


_SHARED = pytest.StashKey[SharedServers]()


def share_servers(config: pytest.Config) -> None:
    """Make this process the owner of the run's servers, unless it is a worker of xdist."""
    if not hasattr(config, "workerinput"):
        shared = config.stash[_SHARED] = SharedServers(prepared(config.getoption("--stack")))
        config.add_cleanup(shared.close)
        # Like Ctrl-C, so that a run cleans up on SIGTERM.
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass the invitation to each worker of xdist, also to replacements of crashed ones."""
    node.workerinput["servers"] = node.config.stash[_SHARED].invitation()


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Servers:
    """The servers of this run."""
    given: dict[str, Any] | None = getattr(request.config, "workerinput", None)
    return ask(given["servers"]) if given else request.config.stash[_SHARED].get()
