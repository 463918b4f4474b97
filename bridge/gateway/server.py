"""Runs the gateway until a signal: with one uvicorn server, or with several processes on one port."""

import random
import socket
from functools import partial

import uvicorn

from bridge.gateway.app import prepared_app
from bridge.http.server import Server, allow_files, server_config
from bridge.http.wire.protocol import BoundedProtocol
from bridge.processes.link import Answering
from bridge.processes.supervisor import Supervisor, shared_metrics
from schemas.config.settings import Settings
from schemas.errors import BridgeError, PreconditionFailed, RowRejected, SinkUnavailable
from sinks.kafka.connection import name_closed_connections
from sinks.refusals import refusal
from streams.startup_checks import is_lasting
from telemetry.error_reports import reporter
from telemetry.logging import configure_logs


def _config(settings: Settings, application: object) -> uvicorn.Config:
    return server_config(
        application,
        keep_alive=settings.gateway_keep_alive.seconds,
        drain=settings.gateway_drain_timeout.seconds,
        http=BoundedProtocol,
        lifespan="on",
    )


async def serve(settings: Settings, bound: list[socket.socket]) -> None:
    """Serve in this process until SIGTERM or SIGINT, then finish the requests in flight."""
    allow_files()
    await Server(_config(settings, prepared_app(settings))).serve(sockets=bound)


def serve_with_processes(settings: Settings, bound: list[socket.socket]) -> int:
    """Serve with several processes, and restart a process that dies; return the exit code of the worst end.

    Raises PreconditionFailed if a process can't start, and would not be able to later.
    """
    allow_files()
    with shared_metrics("gateway") as directory:
        target = partial(_run, settings, bound)
        return Supervisor(target, settings.gateway_processes, directory, random.random).run()


def _run(settings: Settings, bound: list[socket.socket], number: int, link: Answering) -> None:
    """Serve in one of several processes until SIGTERM."""
    service = "bridge-gateway"
    configure_logs(settings.log_level, settings.log_format, service, report=reporter(settings, service), process=number)
    name_closed_connections()
    link.answer({})

    def start_failed(error: BridgeError) -> None:
        if isinstance(error, SinkUnavailable | RowRejected):
            refused = PreconditionFailed(refusal(error, "at start"))
            link.start_failed(refused, lasting=is_lasting(error))
        link.start_failed(error, lasting=is_lasting(error))

    Server(_config(settings, prepared_app(settings, start_failed))).run(sockets=bound)
