"""The port of /metrics of a worker."""

import socket
from typing import Final

from schemas.config.settings import Settings
from schemas.errors import PreconditionFailed

_BACKLOG: Final = 128


def metrics_listener(settings: Settings) -> socket.socket:
    """Bind the port of /metrics, or any free port if the setting is 0, and return the bound socket.

    Raises PreconditionFailed if another process has the port. The socket stays open until the web server uses it.
    Therefore, of two processes that start at the same time, one gets the port and the other gets this error.
    """
    host = settings.metrics_host
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    # Connections in TIME_WAIT that an earlier process has left don't block the port.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, settings.metrics_port))
        # Two processes may bind one port at the same time, but only one of them may listen.
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise PreconditionFailed(
            f"/metrics can't be served at {host}:{settings.metrics_port}: {error.strerror}; set BRIDGE_METRICS_PORT to "
            "another port, such as 0 for a free one, or correct BRIDGE_METRICS_HOST"
        ) from None
    return listener
