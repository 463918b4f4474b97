"""The place of a peer: the values that its command is built from."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Place:
    """A new empty directory, the servers, the topic, and the interpreter of the peers' environment."""

    directory: Path
    kafka: str
    database_url: str
    topic: str
    python: Path

    @property
    def password(self) -> str:
        """Return the database's password."""
        return urlsplit(self.database_url).password or ""

    @property
    def open_url(self) -> str:
        """Return the database's URL without its password, for a command line, which every account can read."""
        return without_password(self.database_url)


def without_password(url: str) -> str:
    """Return the URL without the password; libpq and asyncpg read it from PGPASSWORD."""
    found = urlsplit(url)
    return found._replace(netloc=f"{found.username}@{found.hostname}:{found.port}").geturl()
