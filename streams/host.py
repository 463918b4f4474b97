"""Runs the Faust worker in this process, from its start to its exit code."""

import gc

import faust

from schemas.errors import BridgeError
from schemas.settings import Settings

# Batches are thousands of young objects that die together; looking for cycles among them cost a fifth of the time.
GC_THRESHOLDS = (100_000, 50, 50)


def host(app: faust.App, settings: Settings) -> int:
    """Runs until stopped; 0 after a clean stop, 3 if a service was away at start, 1 after any other failure."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    worker = faust.Worker(app, loglevel=settings.log_level, redirect_stdouts=False, override_logging=False, quiet=True)
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
    while error is not None and not isinstance(error, BridgeError):
        error = error.__cause__ or error.__context__
    return 1 if error is None else error.exit_code
