"""CPU time for reading an event."""

import time
from collections.abc import Callable

from schemas.instants import instant
from schemas.pipeline.record import Provenance
from streams.pipeline.reading import read_event
from streams.pipeline.rejection import Rejection
from support.events.making import BOUNDS, NOW_MS, REGISTRY

TRIES = 7


def read(value: bytes) -> None:
    try:
        read_event(value, None, instant(NOW_MS), Provenance("t", 0, 0), REGISTRY, BOUNDS)
    except Rejection:
        return


def seconds(work: Callable[[], object]) -> float:
    """Run the work and return the CPU seconds of this thread."""
    began = time.thread_time()
    work()
    return time.thread_time() - began
