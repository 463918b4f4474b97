"""Where a peer runs: what its command is made from."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Place:
    """A directory of its own, empty at first; the servers; the topic; the interpreter of the peers' environment."""

    directory: Path
    kafka: str
    database_url: str
    topic: str
    python: Path

    @property
    def password(self) -> str:
        """The database's password."""
        return urlsplit(self.database_url).password or ""

    @property
    def open_url(self) -> str:
        """The database's URL without its password, for a command line, which every account of the machine can read."""
        return without_password(self.database_url)


def without_password(url: str) -> str:
    """The URL without the password; libpq and asyncpg read it from PGPASSWORD."""
    found = urlsplit(url)
    return found._replace(netloc=f"{found.username}@{found.hostname}:{found.port}").geturl()
