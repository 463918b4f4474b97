"""The gateway's copy of the registry in memory: scripts, their allowed origins and their API keys."""

from collections.abc import Mapping

from schemas.api_key import ApiKey
from sinks.postgres.connection import Connection
from sinks.postgres.registry.cache import READ_SECONDS, RegistryCache, scripts_of
from sinks.postgres.statements import sql
from telemetry import metrics


class ProducerRegistry(RegistryCache):
    """A copy, in memory, of the registry of scripts, with the scripts' allowed origins and API keys.

    During an outage of Postgres the last copy stays in use.
    """

    def __init__(self, dsn: str, *, refresh_seconds: float) -> None:
        super().__init__(dsn, refresh_seconds=refresh_seconds)
        self.origins: Mapping[str, frozenset[str]] = {}
        self.keys: Mapping[str, ApiKey] = {}

    async def _take(self, conn: Connection) -> None:
        rows = await conn.fetch(sql("producers_read"), timeout=READ_SECONDS)
        self.current = scripts_of(rows)
        self.origins = {row["script_id"]: frozenset(row["origins"]) for row in rows}
        self.keys = {
            row["key_id"]: ApiKey(row["key_id"], row["script_id"], bytes(row["digest"]), row["revoked"])
            for row in rows
            if row["key_id"] is not None
        }
        metrics.REGISTRY_SCRIPTS.set(len(self.current))
