"""The registry's copy in memory: refreshed on Postgres' notifications, and by a timer in case one is lost."""

import asyncio
import re
import time
from collections.abc import Iterable, Mapping

import asyncpg
import structlog

from schemas.errors import BridgeError
from schemas.pipeline.record import TopicPartition
from schemas.pipeline.registry import Registry, Script
from sinks.postgres.connection import Connection, connection, receive_little
from sinks.postgres.errors import TRANSLATED
from sinks.postgres.statements import sql
from telemetry import metrics

CHANNEL = "bridge_registry"
RECONNECT_SECONDS = 2.0
READ_SECONDS = 10.0
_TARGET = re.compile(r"(.+):([0-9]{1,10})")
REST_SECONDS = 0.1
"""Least time between two reads, regardless of the number of notifications."""
REST_SHARE = 9
"""Least wait before the next read, as a multiple of the last read's duration: a large registry occupies the loop."""
MOST_TOLD = 200
"""More notifications between two reads are a flood: no changes of the registry come in such numbers."""

log = structlog.get_logger(__name__)


def scripts_of(rows: "Iterable[asyncpg.Record]") -> Registry:
    """Return the scripts of rows of `registry_read` or `producers_read`."""
    return {
        row["script_id"]: Script(
            row["script_id"],
            row["site_id"],
            row["org_id"],
            row["enabled"],
            shared_ids=row["shared_ids"],
            paused=row["paused"],
        )
        for row in rows
    }


async def tell_of_change(conn: Connection) -> None:
    """Notify the registry's followers of a committed change, so that they read it now.

    Any account can fill Postgres' notification queue. The change still applies then, and the timers find it.
    """
    try:
        await conn.execute("SELECT pg_notify($1, '')", CHANNEL, timeout=READ_SECONDS)
    except TRANSLATED as error:
        log.warning(
            "registry_change_notify_failed",
            error=str(error) or type(error).__name__,
            found_by="BRIDGE_REGISTRY_REFRESH",
        )


class RegistryCache:
    """Keeps the last registry that could be read; `refresh_seconds` is the interval of the timed refresh."""

    def __init__(self, dsn: str, *, refresh_seconds: float) -> None:
        self._dsn = dsn
        self._refresh_seconds = refresh_seconds
        self._registry: Registry = {}
        self._owned: Registry = {}
        self._orgs: dict[int, int | None] = {}
        self.legacy_until_ms = 0
        """Until when gateway headers without a proof are believed, in milliseconds since the epoch."""
        self.paused_partitions: Mapping[TopicPartition, str] = {}
        """Partitions of raw topics that operators have paused, with the reasons."""
        self._changed = asyncio.Event()
        self._told = 0
        self._flooded = False

    def owner_of(self, site_id: int) -> tuple[str, int]:
        """Return the owner of a site: its organisation, or the site itself if none is known."""
        if self._owned is not self._registry:
            self._owned = self._registry
            self._orgs = {script.site_id: script.org_id for script in self._registry.values()}
        org_id = self._orgs.get(site_id)
        return ("site", site_id) if org_id is None else ("organisation", org_id)

    @property
    def current(self) -> Registry:
        """The registry as last read."""
        return self._registry

    async def load(self) -> None:
        """Read the registry once; raises SinkUnavailable."""
        async with connection(self._dsn, "registry") as conn:
            await self._read(conn)

    async def follow(self) -> None:
        """Keeps it fresh until cancelled; an outage leaves the last copy in use.

        Every account that may connect can notify. A flood ends the connection, and for `refresh_seconds` nothing but the
        timer has the registry read.
        """
        while True:
            try:
                async with connection(self._dsn, "registry") as conn:
                    if self._flooded:
                        await self._read(conn)
                        await asyncio.sleep(self._refresh_seconds)
                        self._flooded = False
                    await self._listen(conn)
                    await self._follow_on(conn)
            except (BridgeError, *TRANSLATED) as error:
                log.warning("registry_read_failed", error=str(error))
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self, conn: Connection) -> None:
        def told(*_: object) -> None:
            self._told += 1
            self._changed.set()
            if self._told > MOST_TOLD and not self._flooded:
                self._flooded = True
                log.warning("registry_notifications_flood", told=self._told, found_by="BRIDGE_REGISTRY_REFRESH")
                # The response to UNLISTEN would come after all queued notifications.
                conn.terminate()

        self._told = 0
        receive_little(conn)
        conn.add_termination_listener(lambda *_: self._changed.set())
        await conn.add_listener(CHANNEL, told)

    async def _follow_on(self, conn: Connection) -> None:
        while not conn.is_closed():
            self._changed.clear()
            self._told = 0
            began = time.monotonic()
            await self._read(conn)
            took = time.monotonic() - began
            rest = min(max(REST_SECONDS, REST_SHARE * took), self._refresh_seconds)
            await asyncio.sleep(rest)
            try:
                await asyncio.wait_for(self._changed.wait(), self._refresh_seconds - rest)
            except TimeoutError:
                continue

    async def _read(self, conn: Connection) -> None:
        rows = await conn.fetch(sql("registry_read"), timeout=READ_SECONDS)
        self._registry = scripts_of(rows)
        self.legacy_until_ms = await conn.fetchval(sql("gateway_trust_read"), timeout=READ_SECONDS) or 0
        self.paused_partitions = await _read_paused_partitions(conn)
        metrics.REGISTRY_SCRIPTS.set(len(rows))


async def _read_paused_partitions(conn: Connection) -> dict[TopicPartition, str]:
    """Return the paused partitions, each with the account and the reason."""
    found = {}
    for row in await conn.fetch(sql("pauses_partitions"), timeout=READ_SECONDS):
        # A target of another form, which only the owner can write by hand, is not a partition of a worker.
        if match := _TARGET.fullmatch(row["target"]):
            found[TopicPartition(match[1], int(match[2]))] = f"paused by {row['paused_by']}: {row['reason']}"
    return found
