"""A service's copy of the API tokens in memory, read again after a notification of Postgres, and by a timer."""

import time
from collections.abc import Mapping

from schemas.api_token import ApiToken, Role
from sinks.postgres.connection import Connection
from sinks.postgres.registry.cache import READ_SECONDS, RegistryCache
from sinks.postgres.statements import sql


class ApiTokenCache(RegistryCache):
    """A copy of the API tokens, by their key ids. During an outage of Postgres the last copy stays in use."""

    def __init__(self, dsn: str, *, refresh_seconds: float) -> None:
        super().__init__(dsn, refresh_seconds=refresh_seconds)
        self.tokens: Mapping[str, ApiToken] = {}
        self.read_at: float | None = None
        """When the tokens were last read, by the monotonic clock, in seconds."""

    async def _read(self, conn: Connection) -> None:
        rows = await conn.fetch(sql("api_tokens_read"), timeout=READ_SECONDS)
        self.tokens = {
            row["key_id"]: ApiToken(
                row["key_id"], row["name"], bytes(row["digest"]), Role(row["role"]), row["org_id"], row["expires_at"],
                row["revoked"],
            )
            for row in rows
        }  # fmt: skip
        self.read_at = time.monotonic()
