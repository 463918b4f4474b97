"""Runs the Faust worker in this process, from its start to its exit code."""

import logging
import os
import threading
from collections.abc import Callable

import faust
from aiokafka.errors import KafkaConnectionError

from schemas.config.settings import Settings
from schemas.errors import BridgeError, EnvironmentUnfit
from telemetry.gc_tuning import search_rarely
from telemetry.terminal import say

HOST_LOGGER = logging.getLogger("faust.services")
"""Where what Faust says of a service goes, and not to the logger of the module that declares the service."""
# Faust stops its own clients within seconds, or never: its consumer's thread can die on a Kafka that is away.
REST_SECONDS = 10.0


def end_without_rest(code: int, cleanup: Callable[[], None]) -> None:
    """Ends the process when the rest of Faust's stop takes too long; call it once all that matters is done."""

    def end() -> None:
        say(f"Faust has not stopped within {REST_SECONDS:.0f} s after the drain; ending")
        cleanup()
        os._exit(code)

    timer = threading.Timer(REST_SECONDS, end)
    timer.daemon = True
    timer.start()


def host(app: faust.App, settings: Settings) -> int:
    """Runs until stopped; 0 after a clean stop, 3 if a service was away at start, 1 after any other failure."""
    search_rarely()
    worker = faust.Worker(app, loglevel=settings.log_level, redirect_stdouts=False, override_logging=False, quiet=True)
    # It writes codes that move a terminal's cursor, wherever the output goes.
    worker.spinner = None
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        return _exit_code(end)
    return 0


def _exit_code(end: SystemExit) -> int:
    """The code of our own error if one ended it: Faust knows only success and failure."""
    if not end.code:
        return 0
    error = end.__context__
    while error is not None and not isinstance(error, BridgeError | KafkaConnectionError):
        error = error.__cause__ or error.__context__
    if error is None:
        return 1
    # Faust's own clients know no other way to say at start that Kafka is away; later they wait for it.
    return error.exit_code if isinstance(error, BridgeError) else EnvironmentUnfit.exit_code
