"""A copy, in memory, of the registry of scripts, sites and organisations, read again after each change.

Postgres notifies the process of a change. A timer also renews the copy, in case a notification is lost.
"""

import asyncio
import re
import time
from collections.abc import Iterable, Mapping
from typing import Self

import asyncpg
import structlog

from schemas.config.settings import Settings
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
"""The shortest time between two reads, in seconds, however many notifications arrive."""
REST_SHARE = 9
"""The shortest wait before the next read, as a multiple of the last read's duration.

Reading a large registry occupies the event loop.
"""
KEPT_REFRESHES = 3
"""A copy that is older than this number of refreshes, and than KEPT_SECONDS, may lack a revocation unnoticed."""
KEPT_SECONDS = 30.0
MOST_TOLD = 200
"""More notifications than this between two reads are a flood, since the registry never changes so often."""

log = structlog.get_logger(__name__)


def scripts_of(rows: "Iterable[asyncpg.Record]") -> Registry:
    """Convert rows of `registry_read` or `producers_read`."""
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
    """Notify the processes that have a copy of the registry of a committed change, so that they read the registry now.

    If Postgres' notification queue is full, which any account can cause, the notification fails. The change is valid
    nevertheless, and the timers of these processes find it.
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
    """The registry of scripts as it was last read. A timer reads it again every `refresh_seconds`."""

    def __init__(self, dsn: str, *, refresh_seconds: float) -> None:
        self._dsn = dsn
        self._refresh_seconds = refresh_seconds
        self.current: Registry = {}
        """The scripts as they were last read."""
        self._owned: Registry = {}
        self._orgs: dict[int, int | None] = {}
        self.legacy_until_ms = 0
        """Until when gateway headers without a signature are trusted, in milliseconds since the epoch."""
        self.paused_partitions: Mapping[TopicPartition, str] = {}
        """Partitions of raw topics that operators have paused, each with the account and the reason."""
        self.read_at: float | None = None
        """When the copy was last read, by the monotonic clock, in seconds."""
        self._changed = asyncio.Event()
        self._told = 0
        self._flooded = False

    @classmethod
    async def loaded(cls, settings: Settings) -> Self:
        """Return a copy of the registry that was just read; raises SinkUnavailable."""
        cache = cls(settings.dsn, refresh_seconds=settings.registry_refresh.seconds)
        await cache.load()
        return cache

    @property
    def age_seconds(self) -> float | None:
        """The seconds since the copy was last read; None before the first read."""
        return None if self.read_at is None else round(time.monotonic() - self.read_at, 1)

    @property
    def is_current(self) -> bool:
        """Whether the copy is recent enough that what it contains can hardly have been revoked."""
        most = max(KEPT_SECONDS, KEPT_REFRESHES * self._refresh_seconds)
        return self.read_at is not None and time.monotonic() - self.read_at <= most

    def owner_of(self, site_id: int) -> tuple[str, int]:
        """Return the owner of a site: its organisation, or the site itself if it has no known organisation."""
        if self._owned is not self.current:
            self._owned = self.current
            self._orgs = {script.site_id: script.org_id for script in self.current.values()}
        org_id = self._orgs.get(site_id)
        return ("site", site_id) if org_id is None else ("organisation", org_id)

    async def load(self) -> None:
        """Read the registry once; raises SinkUnavailable."""
        async with connection(self._dsn, "registry") as conn:
            await self._read(conn)

    async def follow(self) -> None:
        """Keep the copy of the registry current until cancelled. During an outage of Postgres it stays as last read.

        Every account that may connect can send notifications. After a flood of notifications the connection that
        receives them is closed. Then only the timer causes reads for `refresh_seconds`.
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
                # UNLISTEN would be answered only after all queued notifications.
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
        await self._take(conn)
        self.read_at = time.monotonic()
        metrics.REGISTRY_READ.set_to_current_time()

    async def _take(self, conn: Connection) -> None:
        """Replace the copy by what Postgres has now."""
        rows = await conn.fetch(sql("registry_read"), timeout=READ_SECONDS)
        self.current = scripts_of(rows)
        self.legacy_until_ms = await conn.fetchval(sql("gateway_trust_read"), timeout=READ_SECONDS) or 0
        self.paused_partitions = await _read_paused_partitions(conn)
        metrics.REGISTRY_SCRIPTS.set(len(rows))


async def _read_paused_partitions(conn: Connection) -> dict[TopicPartition, str]:
    """Return the paused partitions, each with a text that names the account and the reason of the pause."""
    found = {}
    for row in await conn.fetch(sql("pauses_partitions"), timeout=READ_SECONDS):
        # Only the owner can write another form, by hand. It names no partition, so workers ignore it.
        if match := _TARGET.fullmatch(row["target"]):
            found[TopicPartition(match[1], int(match[2]))] = f"paused by {row['paused_by']}: {row['reason']}"
    return found
