"""Runs the gateway until a signal: with one uvicorn server, or with several processes on one port."""

import os
import shutil
import socket
import tempfile

import uvicorn
from uvicorn.supervisors import multiprocess

from bridge.gateway.app import prepared_app
from bridge.http.exposition import DIRECTORY
from bridge.http.server import Server, allow_files, server_config
from bridge.http.wire.protocol import BoundedProtocol
from schemas.config.settings import Settings


def _config(settings: Settings, application: object) -> uvicorn.Config:
    return server_config(
        application,
        keep_alive=settings.gateway_keep_alive.seconds,
        drain=settings.gateway_drain_timeout.seconds,
        http=BoundedProtocol,
        lifespan="on",
        workers=settings.gateway_processes,
    )


async def serve(settings: Settings, bound: list[socket.socket]) -> None:
    """Serve in this process until SIGTERM or SIGINT, then finish the requests in flight."""
    allow_files()
    await Server(_config(settings, prepared_app(settings))).serve(sockets=bound)


def serve_with_processes(settings: Settings, bound: list[socket.socket]) -> None:
    """Serve with several processes, and restart a process that dies. Each reads its settings from the environment."""
    allow_files()
    directory = tempfile.mkdtemp(prefix="bridge-gateway-")
    os.environ[DIRECTORY] = directory
    try:
        multiprocess.Process = _Process  # type: ignore[misc]  # the supervisor has no parameter for it
        multiprocess.Multiprocess(_config(settings, "bridge.gateway.app:process_app"), sockets=bound).run()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class _Process(multiprocess.Process):
    """One of several processes. It accepts connections in the same way as a single process."""

    @property
    def server(self) -> uvicorn.Server:
        if self._server is None:
            self._server = Server(self.config)
        return self._server
