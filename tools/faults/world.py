"""Everything that a fault can act on: servers, the links to them, workers, the load, and its own database session."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from schemas.config.settings import Settings
from tools.faults.fleet import Fleet
from tools.faults.load import Load
from tools.faults.proxy import Proxy
from tools.faults.servers import Servers


@dataclass
class World:
    """The parts of one run. `settings` lead to the servers past the proxies."""

    directory: Path
    servers: Servers
    kafka_link: Proxy
    postgres_link: Proxy
    fleet: Fleet
    load: Load
    settings: Settings
    afterwards: list[Callable[[], object]] = field(default_factory=list)
    """Callbacks to run when the servers have stopped."""

    @property
    def database(self) -> str:
        """The database's name."""
        return urlsplit(self.settings.dsn).path.removeprefix("/")

    @asynccontextmanager
    async def session(self) -> AsyncIterator[asyncpg.Connection]:
        """Open a session past the proxies that the campaign's settings of the server don't affect."""
        conn = await asyncpg.connect(self.servers.admin_database_url, timeout=10)
        try:
            await conn.execute("SET default_transaction_read_only = off; SET statement_timeout = 0")
            yield conn
        finally:
            await conn.close(timeout=5)

    async def end_sessions(self, conn: asyncpg.Connection) -> int:
        """End the workers' sessions; return how many there were."""
        ended = await conn.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'ghostlink-bridge%'"
        )
        return len(ended)
