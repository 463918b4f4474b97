"""Runs the gateway: one uvicorn server, or several processes on one port, until it is told to stop."""

import asyncio
import os
import resource
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from uvicorn.supervisors import Multiprocess

from bridge.gateway.app import create_app, quiet_server
from bridge.gateway.exposition import DIRECTORY
from bridge.gateway.protocol import BoundedProtocol
from schemas.errors import EnvironmentUnfit
from schemas.settings import Settings
from streams.garbage import search_rarely

_BACKLOG = 2048


class Server(uvicorn.Server):
    """uvicorn's server, which ends with exit code 0 once it has drained after a signal."""

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


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound socket; raises EnvironmentUnfit if the address can't be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError as error:
        raise EnvironmentUnfit(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --host or --port"
        ) from error
    bound.setblocking(False)
    bound.set_inheritable(True)
    return bound


def address_of(bound: socket.socket) -> str:
    """The socket's address as a URL."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _config(settings: Settings, application: object) -> uvicorn.Config:
    return uvicorn.Config(
        application,  # type: ignore[arg-type]  # the front takes what ASGI gives, by wider types
        factory=isinstance(application, str),
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        workers=settings.gateway_processes,
        timeout_keep_alive=int(settings.seconds("gateway_keep_alive")),
        timeout_graceful_shutdown=int(settings.seconds("gateway_drain_timeout")),
    )


async def serve(settings: Settings, bound: socket.socket) -> None:
    """Serves in this process until SIGTERM or SIGINT, then finishes what was begun."""
    _allow_files()
    quiet_server()
    BoundedProtocol.bound(settings)
    search_rarely()
    await Server(_config(settings, create_app(settings))).serve(sockets=[bound])


def serve_with_processes(settings: Settings, bound: socket.socket) -> None:
    """The same with several processes, each of which is started again if it dies. Their settings are the environment's."""
    _allow_files()
    directory = tempfile.mkdtemp(prefix="bridge-gateway-")
    os.environ[DIRECTORY] = directory
    try:
        Multiprocess(_config(settings, "bridge.gateway.app:process_app"), sockets=[bound]).run()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _allow_files() -> None:
    """As many open connections as the system lets this account have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
