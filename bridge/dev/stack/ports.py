"""Free ports on the loopback address."""

import random
import socket
from collections.abc import Iterable

import psutil

from schemas.errors import InvalidInput, PreconditionFailed

LOOPBACK = "127.0.0.1"
# The range lies below that of Linux' outgoing connections, so that no client takes the port before the server.
_CANDIDATES = range(20_000, 32_000)
_ATTEMPTS = 200


def is_free(port: int) -> bool:
    """Return whether a server could listen on the port at this time."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # The same option as the servers: a port in TIME_WAIT counts as free, a port with a listener does not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def held_by_another(port: int) -> str:
    """Return a text for messages that names the program that uses the port; an empty text if none is known."""
    if is_free(port):
        return ""
    try:
        pids = {one.pid for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == port and one.pid}
    except psutil.AccessDenied:
        pids = set()
    named = f"another program (pid {min(pids)})" if pids else "a program of another account"
    return f"; {named} holds port {port} of {LOOPBACK} and got no password"


def choose(*, asked: int | None, remembered: int | None, taken: Iterable[int], purpose: str) -> int:
    """Return the port `asked`. If none is asked for, return a free port: the `remembered` one if that is free.

    Raises an error if the port `asked` is in use.
    """
    avoid = set(taken)
    if asked is not None:
        if not 1 <= asked <= 65_535:
            raise InvalidInput(f"{purpose} port {asked} is not a port; give a number from 1 to 65535")
        if asked in avoid or not is_free(asked):
            raise PreconditionFailed(
                f"{purpose} port {asked} on {LOOPBACK} is in use; give another port, or none to use a free one"
            )
        return asked
    if remembered is not None and remembered not in avoid and is_free(remembered):
        return remembered
    for port in random.sample(_CANDIDATES, _ATTEMPTS):
        if port not in avoid and is_free(port):
            return port
    raise PreconditionFailed(f"no free port on {LOOPBACK} for {purpose}: {_ATTEMPTS} were tried")
