"""What reference counting does not free."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Collect the garbage now, and none in the context."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
