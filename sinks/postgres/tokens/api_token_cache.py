"""A service's copy of the API tokens in memory, read again after a notification of Postgres, and by a timer."""

from collections.abc import Mapping

from schemas.api_token import ApiToken, Role
from sinks.postgres.connection import Connection
from sinks.postgres.records import named
from sinks.postgres.registry.cache import READ_SECONDS, RegistryCache
from sinks.postgres.statements import sql


class ApiTokenCache(RegistryCache):
    """A copy of the API tokens, by their key ids. Once it is no longer current, the API refuses every token."""

    def __init__(self, dsn: str, *, refresh_seconds: float) -> None:
        super().__init__(dsn, refresh_seconds=refresh_seconds)
        self.tokens: Mapping[str, ApiToken] = {}

    async def _take(self, conn: Connection) -> None:
        rows = await conn.fetch(sql("api_tokens_read"), timeout=READ_SECONDS)
        found = [named(ApiToken, row, digest=bytes(row["digest"]), role=Role(row["role"])) for row in rows]
        self.tokens = {token.key_id: token for token in found}
