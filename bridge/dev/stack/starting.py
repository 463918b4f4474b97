"""The start of one server: its launch, and the wait until it answers."""

import time
from collections.abc import Callable

from bridge.dev.stack.kafka import KafkaNode
from bridge.dev.stack.owner import Owner
from bridge.dev.stack.ports import held_by_another
from bridge.dev.stack.postgres import PostgresServer
from bridge.dev.stack.process import Identity, decisive_line, log_size
from schemas.errors import PreconditionFailed


def start_server(
    name: str,
    server: KafkaNode | PostgresServer,
    owner: Owner,
    *,
    launched: Callable[[Identity], None],
    cancelled: Callable[[], bool],
    timeout_seconds: float,
    progress: Callable[[str], None],
) -> None:
    """Launch the server through `owner`, and wait until the server answers.

    `launched` is called with the identity of the server's process. Raises PreconditionFailed if the server dies, takes
    too long, or `cancelled` returns True.
    """
    launch = server.prepare(progress)
    if cancelled():
        raise PreconditionFailed(f"the start of {name.lower()} was called off")
    log, log_start = launch.log, log_size(launch.log)
    identity = owner.launch(launch)
    launched(identity)
    deadline = time.monotonic() + timeout_seconds
    # If the server is dead, another program on the port may answer.
    while not server.ready(identity.pid) or not identity.alive():
        if not identity.alive():
            why = f"{decisive_line(log, log_start)}{held_by_another(server.port)}"
            raise PreconditionFailed(f"{name} died at start: {why} (log: {log})")
        if cancelled():
            raise PreconditionFailed(f"the start of {name} was cancelled")
        if time.monotonic() > deadline:
            raise PreconditionFailed(
                f"{name} did not answer within {timeout_seconds:g} s: {decisive_line(log, log_start)} (log: {log})"
            )
        time.sleep(0.03)
