"""Runs the API in one process until it is told to stop; replays in hand end after their batch, and can be gone on with."""

import socket

from bridge.api.app import create_app
from bridge.api.services import running
from bridge.http.problems import REFUSALS, Code
from bridge.http.server import Server, allow_files, quiet_server, server_config
from bridge.http.wire.connections import Connections
from bridge.http.wire.protocol import BoundedProtocol
from bridge.http.wire.request_pace import Pace
from schemas.config.settings import Settings
from telemetry import metrics
from telemetry.gc_tuning import REQUESTS, search_rarely

_KEEP_ALIVE_SECONDS = 65.0


class ApiProtocol(BoundedProtocol):
    """Operators are few: what is more than so many connections is no operator."""

    places = Connections(500, 50)
    # Tokens and addresses have rates of their own; behind a proxy all operators have one address.
    pace = Pace(0)
    open_connections = metrics.API_CONNECTIONS

    def _count_refusal(self, code: Code) -> None:
        metrics.API_REQUESTS.labels("unread", str(REFUSALS[code].status.value)).inc()


async def serve(settings: Settings, bound: list[socket.socket]) -> None:
    """Serves until SIGTERM or SIGINT, then finishes the requests and stops the replays in hand."""
    allow_files()
    quiet_server()
    ApiProtocol.admin_port = settings.api_admin_port
    async with running(settings) as services:
        config = server_config(
            create_app(services), keep_alive=_KEEP_ALIVE_SECONDS, drain=settings.seconds("api_drain_timeout"),
            http=ApiProtocol, lifespan="off",
        )  # fmt: skip
        search_rarely(REQUESTS)
        await Server(config, services.runs.leave).serve(sockets=bound)
