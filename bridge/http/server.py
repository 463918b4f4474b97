"""How an HTTP service listens and ends: a bound socket, uvicorn's settings, and a drain at SIGTERM."""

import asyncio
import logging
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

import uvicorn

from bridge.http.wire.acceptor import Acceptor
from schemas.errors import EnvironmentUnfit

BACKLOG = 2048


class Server(uvicorn.Server):
    """uvicorn's server, which ends with exit code 0 once it has drained after a signal; `leaving` is called at the signal."""

    def __init__(self, config: uvicorn.Config, leaving: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._leaving = leaving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if not sockets:
            await super().startup(sockets)
            return
        # uvicorn makes no servers of its own then.
        await super().startup([])
        for bound in sockets:
            self.servers.append(Acceptor(bound, self._protocol, self.config.ssl))  # type: ignore[arg-type]  # all that is asked of one

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
    """A bound socket; raises EnvironmentUnfit if the address can't be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        raise EnvironmentUnfit(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --host or --port"
        ) from error
    bound.setblocking(False)
    bound.set_inheritable(True)
    return bound


@contextmanager
def listening(host: str, port: int, admin_host: str, admin_port: int) -> Iterator[list[socket.socket]]:
    """The bound sockets of a service: its own, and that of its admin port unless it is 0. Raises EnvironmentUnfit."""
    with ExitStack() as stack:
        bound = [stack.enter_context(listening_socket(host, port))]
        if admin_port:
            bound.append(stack.enter_context(listening_socket(admin_host, admin_port)))
        yield bound


def address_of(bound: socket.socket) -> str:
    """The socket's address as a URL."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def server_config(application: object, *, keep_alive: float, drain: float, **more: Any) -> uvicorn.Config:
    """uvicorn's settings for an ASGI application, or for the name of what makes one; times are in seconds."""
    return uvicorn.Config(
        application,  # type: ignore[arg-type]  # our fronts take what ASGI gives, by wider types
        factory=isinstance(application, str),
        loop="uvloop",
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
    """As many open connections as the system lets this account have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def quiet_server() -> None:
    """What a client sends is no news for uvicorn's log; that it was refused is counted."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
