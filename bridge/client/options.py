"""Options of a client: sizes, times, and the directory of its spool (the queue on disk)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from schemas.errors import InvalidInput

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a client; times are in seconds, sizes in bytes. Raises InvalidInput, which names a value out of range.

    - `when_full`: whether `send` waits for space or raises BufferFull when the buffer is full.
    - `retry_for`: without a spool, the time for which a batch is tried. With a spool, a batch is tried until it is
      delivered.
    - `spool_sync`: when events in the spool (the queue on disk) are forced to disk. `always`: before `send` returns.
      `interval`: once a second, and at `flush` and `close`. `never`: when the operating system does so. A crash of the
      process loses no event in any of these cases. A crash of the machine can lose the events of the last second
      (`interval`) or more (`never`).
    """

    batch_events: int = 100
    batch_bytes: int = MIB // 2
    linger: float = 0.1
    concurrency: int = 4
    buffer_events: int = 10_000
    buffer_bytes: int = 64 * MIB
    when_full: Literal["block", "error"] = "block"
    retry_for: float = 60.0
    request_timeout: float = 15.0
    compress: bool = True
    spool: Path | str | None = None
    spool_bytes: int = 1024 * MIB
    spool_sync: Literal["always", "interval", "never"] = "interval"

    def __post_init__(self) -> None:
        for name, low, high in (
            ("batch_events", 1, 500),
            ("batch_bytes", 128 * 1024, MIB),
            ("linger", 0, 3600),
            ("concurrency", 1, 64),
            ("buffer_events", 1, None),
            ("buffer_bytes", 128 * 1024, None),
            ("retry_for", 0, None),
            ("request_timeout", 0.001, 3600),
            ("spool_bytes", MIB, None),
        ):
            value = getattr(self, name)
            if value < low or (high is not None and value > high):
                to = "" if high is None else f" and at most {high}"
                raise InvalidInput(f"{name}: {value} is out of range; it must be at least {low}{to}")
        for name, allowed in (("when_full", ("block", "error")), ("spool_sync", ("always", "interval", "never"))):
            if getattr(self, name) not in allowed:
                raise InvalidInput(f"{name}: {getattr(self, name)!r} is not one of {', '.join(allowed)}")
