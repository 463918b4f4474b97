"""SIGTERM as SIGINT: both signals have the same effect, with any handler of SIGINT."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Deliver SIGTERM as SIGINT within the block; must be entered in the main thread."""
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        # Shells start background jobs with SIGINT ignored, and then no signal would end them.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
