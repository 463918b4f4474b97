"""Listening and draining of an HTTP service: bound sockets, uvicorn's settings, and the drain at SIGTERM."""

import asyncio
import logging
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, Literal, cast

import uvicorn

from bridge.http.wire.acceptor import Acceptor
from bridge.http.wire.protocol import BoundedProtocol
from bridge.http.wire.request_pace import Pace
from schemas.errors import PreconditionFailed

BACKLOG = 2048


class Server(uvicorn.Server):
    """uvicorn's server.

    The process exits with code 0 after the drain. The server calls `leaving` at the signal that begins the drain.
    """

    def __init__(self, config: uvicorn.Config, leaving: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._leaving = leaving
        self._acceptors: list[Acceptor] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if not sockets:
            await super().startup(sockets)
            return
        # Without sockets, uvicorn creates no servers of its own.
        await super().startup([])
        kind = cast("type[BoundedProtocol]", self.config.http_protocol_class)
        for bound in sockets:
            pace = Pace(0) if bound.getsockname()[1] == kind.admin_port else kind.pace
            acceptor = Acceptor(
                bound, self._protocol, kind.address_of_peer, kind.refuse_accepted, pace.is_over, kind.others
            )
            self._acceptors.append(acceptor)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn tells the open connections to end. One that opens later would send requests until the drain's limit.
        for acceptor in self._acceptors:
            acceptor.close()
            await acceptor.wait_closed()
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.BaseProtocol:
        config = self.config
        return config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn has it
            config=config, server_state=self.server_state, app_state=self.lifespan.state
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(one, self.handle_exit, one, None)
        try:
            yield
        finally:
            for one in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(one)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._leaving()
        super().handle_exit(sig, frame)


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a bound socket; raises PreconditionFailed if the address can't be used."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        raise PreconditionFailed(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --host or --port"
        ) from error
    bound.setblocking(False)
    bound.set_inheritable(True)
    return bound


@contextmanager
def listening(host: str, port: int, admin_host: str, admin_port: int) -> Iterator[list[socket.socket]]:
    """Bind the service's socket, and the admin port's socket unless it is 0. Raises PreconditionFailed."""
    with ExitStack() as stack:
        bound = [stack.enter_context(listening_socket(host, port))]
        if admin_port:
            bound.append(stack.enter_context(listening_socket(admin_host, admin_port)))
        yield bound


def address_of(bound: socket.socket) -> str:
    """Return the socket's address as a URL."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def server_config(
    application: object, *, keep_alive: float, drain: float, loop: Literal["uvloop", "asyncio"] = "uvloop", **more: Any
) -> uvicorn.Config:
    """Return uvicorn's settings for an ASGI application or the import name of its factory. Times are in seconds.

    A server outside of the main thread runs on the `loop` asyncio: at the end of the process, a thread that still runs
    uvloop can crash it.
    """
    return uvicorn.Config(
        application,  # type: ignore[arg-type]  # our fronts take what ASGI gives, by wider types
        factory=isinstance(application, str),
        loop=loop,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=int(keep_alive),
        timeout_graceful_shutdown=int(drain),
        **more,
    )


def allow_files() -> None:
    """Raise the limit of open files to the highest value that the system allows this account."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def quiet_server() -> None:
    """Silence uvicorn's log lines about malformed requests; the product counts these refusals itself."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
