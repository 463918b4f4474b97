"""CPU time for reading an event."""

import time
from collections.abc import Callable
from functools import cache
from typing import Final

import pytest

from schemas.instants import instant
from schemas.pipeline.record import Provenance
from streams.pipeline import native
from streams.pipeline.reading import read_event
from streams.pipeline.rejection import Rejection
from support.events.making import BOUNDS, NOW_MS, REGISTRY, SOURCE, context, record
from support.events.native import EVERYTHING, reader
from telemetry.gc_tuning import collecting_later

# Tries beyond the first few are made only on a busy machine, whose caches other processes use.
TRIES = 1000


def read(value: bytes) -> None:
    try:
        read_event(value, None, instant(NOW_MS), Provenance("t", 0, 0), REGISTRY, BOUNDS)
    except Rejection:
        return


def read_natively(value: bytes) -> None:
    """Read the event by the native module, and by Python if the module leaves it."""
    if _reader().read(SOURCE, [record(value=value)], 0, NOW_MS, *EVERYTHING).left:
        read(value)


@cache
def _reader() -> native.Reader:
    return reader(context())


PATHS: Final = [
    read,
    pytest.param(
        read_natively, marks=pytest.mark.skipif(not native.AVAILABLE, reason="the native module is not installed")
    ),
]
"""The ways to read an event, each of which has to keep the limits of time."""


def seconds(work: Callable[[], object]) -> float:
    """Run the work and return the CPU seconds of this thread, without collections of what earlier tests left."""
    with collecting_later():
        began = time.thread_time()
        work()
        return time.thread_time() - began
