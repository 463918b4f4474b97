"""The run of the worker under Faust in this process, from its start to its exit code."""

import logging
import os
import threading
from collections.abc import Callable

import faust
from aiokafka.errors import KafkaConnectionError

from schemas.config.settings import Settings
from schemas.errors import BridgeError, PreconditionFailed
from telemetry.gc_tuning import search_rarely
from telemetry.terminal import say

HOST_LOGGER = logging.getLogger("faust.services")
"""The logger that Faust uses for lines about services, instead of one for each module."""
# Faust stops its own clients within seconds, or never if its consumer's thread has failed on an unreachable Kafka.
REST_SECONDS = 10.0


def end_without_rest(code: int, cleanup: Callable[[], None]) -> None:
    """End the process with exit code `code` if Faust is still running after REST_SECONDS.

    Call this when the product's worker has stopped. `cleanup` is called just before the process ends.
    """

    def end() -> None:
        say(f"Faust has not stopped within {REST_SECONDS:.0f} s after the drain; ending")
        cleanup()
        os._exit(code)

    timer = threading.Timer(REST_SECONDS, end)
    timer.daemon = True
    timer.start()


def host(app: faust.App, settings: Settings) -> int:
    """Run the worker under Faust until it is stopped, and return the process's exit code.

    The code is 0 after a clean stop, 3 if Kafka, Postgres or a port was not available at the start, and 1 after any
    other failure.
    """
    search_rarely()
    worker = faust.Worker(app, loglevel=settings.log_level, redirect_stdouts=False, override_logging=False, quiet=True)
    # The spinner writes control sequences for a terminal even if the output is not one.
    worker.spinner = None
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        return _exit_code(end)
    return 0


def _exit_code(end: SystemExit) -> int:
    """Return the exit code of the BridgeError that ended Faust. Faust itself only returns success or failure."""
    if not end.code:
        return 0
    error = end.__context__
    while error is not None and not isinstance(error, BridgeError | KafkaConnectionError):
        error = error.__cause__ or error.__context__
    if error is None:
        return 1
    # At start, Faust's own clients raise only this error when Kafka is away. Later they wait for Kafka.
    return error.exit_code if isinstance(error, BridgeError) else PreconditionFailed.exit_code
