"""Where a peer runs: what its command is made from."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A directory of its own, empty at first; the servers; the topic; the interpreter of the peers' environment."""

    directory: Path
    kafka: str
    database_url: str
    topic: str
    python: Path
