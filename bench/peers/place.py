"""Where a peer runs."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """An absolute directory, which holds all that the peer writes, the servers, and the topic that is read from its start.

    `database_url` names a user who needs no password, the host, the port and the database.
    """

    directory: Path
    kafka: str
    database_url: str
    topic: str
    python: Path
