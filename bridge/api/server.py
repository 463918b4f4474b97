"""Serves the API in one process until a signal.

Replays in flight stop after their batch, and can be continued later.
"""

import socket

from bridge.api.app import create_app
from bridge.api.services import running
from bridge.http.problems import Code
from bridge.http.server import Server, allow_files, quiet_server, server_config
from bridge.http.wire.connections import Connections
from bridge.http.wire.protocol import BoundedProtocol
from bridge.http.wire.request_pace import Pace
from schemas.config.settings import Settings
from telemetry import metrics
from telemetry.gc_tuning import REQUESTS, search_rarely

_KEEP_ALIVE_SECONDS = 65.0


class ApiProtocol(BoundedProtocol):
    """The connections of the API. There are few operators, so the limit of connections is low."""

    places = Connections(500, 50)
    # No rate for addresses: tokens have limits, and behind a proxy all operators share one address.
    pace = Pace(0)
    open_connections = metrics.API_CONNECTIONS

    @classmethod
    def _count_refusal(cls, code: Code, count: int = 1) -> None:
        metrics.API_REQUESTS.labels("unread", str(code.status.value)).inc(count)


async def serve(settings: Settings, bound: list[socket.socket]) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in flight and stop the replays."""
    allow_files()
    quiet_server()
    ApiProtocol.admin_port = settings.api_admin_port
    async with running(settings) as services:
        config = server_config(
            create_app(services), keep_alive=_KEEP_ALIVE_SECONDS, drain=settings.api_drain_timeout.seconds,
            http=ApiProtocol, lifespan="off",
        )  # fmt: skip
        search_rarely(REQUESTS)
        await Server(config, services.runs.leave).serve(sockets=bound)
