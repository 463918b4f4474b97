"""Runs the Faust worker in this process, from its start to its exit code."""

import gc

import faust

from schemas.settings import Settings

# Batches are thousands of young objects that die together; looking for cycles among them cost a fifth of the time.
GC_THRESHOLDS = (100_000, 50, 50)


def host(app: faust.App, settings: Settings) -> int:
    """Runs until stopped; 0 after a clean stop, 1 after a failure."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    worker = faust.Worker(app, loglevel=settings.log_level, redirect_stdouts=False, override_logging=False, quiet=True)
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0
