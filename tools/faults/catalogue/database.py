"""States of a Postgres that responds and can't be used: read-only, disk full, locked, no connection, no partition."""

import asyncio
import os
import shutil
import subprocess
import sys
import time

import asyncpg

from tools.faults.catalogue.base import Fault
from tools.faults.catalogue.postgres import POSTGRES

_BUDGET_SECONDS = 30.0


class _Setting(Fault):
    """A setting of the server, applied to all sessions."""

    occupies = POSTGRES
    setting = ""
    value = ""

    async def strike(self) -> None:
        async with self.world.session() as conn:
            await conn.execute(f"ALTER SYSTEM SET {self.setting} = '{self.value}'")
            await conn.execute("SELECT pg_reload_conf()")
        self.bites = 1

    async def mend(self) -> None:
        async with self.world.session() as conn:
            await conn.execute(f"ALTER SYSTEM RESET {self.setting}")
            await conn.execute("SELECT pg_reload_conf()")


class ReadOnly(_Setting):
    """default_transaction_read_only for every session, as after a failover to a replica; reset at the end."""

    name = "read-only"
    seconds = (1.0, 6.0)
    setting, value = "default_transaction_read_only", "on"


class StatementTimeout(_Setting):
    """A statement_timeout of 25 ms for every session, which many commits of a batch exceed; reset at the end."""

    name = "statement-timeout"
    seconds = (2.0, 6.0)
    setting, value = "statement_timeout", "25ms"


class OutOfConnections(Fault):
    """The workers' sessions are ended and another client takes every connection; it closes them at the end."""

    name = "out-of-connections"
    occupies = POSTGRES
    seconds = (2.0, 6.0)

    async def strike(self) -> None:
        self.held: list[asyncpg.Connection] = []
        until = time.monotonic() + self.seconds_long
        async with self.world.session() as conn:
            await self.world.end_sessions(conn)
            # A busy machine takes long to open so many connections.
            while time.monotonic() < until or (not self.bites and time.monotonic() < until + _BUDGET_SECONDS):
                try:
                    self.held.append(await asyncpg.connect(self.world.settings.dsn, timeout=5))
                except asyncpg.TooManyConnectionsError:
                    self.bites = len(self.held)
                    await self.world.end_sessions(conn)
                    await asyncio.sleep(0.05)

    async def mend(self) -> None:
        for conn in self.held:
            await conn.close(timeout=2)


class MonthMissing(Fault):
    """All monthly partitions of bridge_event are detached; at the end they are attached, or merged into new ones."""

    name = "month-missing"
    occupies = POSTGRES
    seconds = (1.0, 5.0)

    async def strike(self) -> None:
        self.away: list[tuple[str, str]] = []
        detached = []
        async with self.world.session() as conn, conn.transaction():
            months = await conn.fetch(
                "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bounds FROM pg_inherits i "
                "JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'bridge_event'::regclass"
            )
            for name, bounds in months:
                await conn.execute(f"ALTER TABLE bridge_event DETACH PARTITION {name}")
                await conn.execute(f"ALTER TABLE {name} RENAME TO away_{name}")
                detached.append((name, bounds))
        self.away = detached
        self.bites = len(detached)

    async def mend(self) -> None:
        async with self.world.session() as conn:
            while self.away:
                name, bounds = self.away[-1]
                async with conn.transaction():
                    # The lock that the workers take to create a month: they may be creating the same one now.
                    await conn.execute("LOCK TABLE bridge_event IN ACCESS EXCLUSIVE MODE")
                    if await conn.fetchval("SELECT to_regclass($1)", name) is None:
                        await conn.execute(f"ALTER TABLE away_{name} RENAME TO {name}")
                        await conn.execute(f"ALTER TABLE bridge_event ATTACH PARTITION {name} {bounds}")
                    else:
                        await conn.execute(f"INSERT INTO bridge_event SELECT * FROM away_{name}")
                        await conn.execute(f"DROP TABLE away_{name}")
                self.away.pop()


class _Locked(Fault):
    """Another client's session, idle in a transaction that holds a lock."""

    occupies = POSTGRES
    statement = ""

    async def strike(self) -> None:
        self.stranger = await asyncpg.connect(
            self.world.settings.dsn, timeout=10, server_settings={"application_name": "psql"}
        )
        await self.stranger.execute("BEGIN")
        await self.stranger.execute(self.statement)
        self.bites = 1

    async def mend(self) -> None:
        await self.stranger.close(timeout=5)


class OffsetsLocked(_Locked):
    """Another client locks the rows of stream_offset; it releases them at the end."""

    name = "offsets-locked"
    seconds = (3.0, 8.0)
    statement = "SELECT * FROM stream_offset ORDER BY topic, partition FOR UPDATE"


class EventsLocked(_Locked):
    """Another client locks bridge_event against writers; it releases the lock at the end."""

    name = "events-locked"
    seconds = (3.0, 8.0)
    statement = "LOCK TABLE bridge_event IN SHARE ROW EXCLUSIVE MODE"


class DiskFull(Fault):
    """The key table is moved to a small file system, which is filled to the last byte; space is freed at the end."""

    name = "disk-full"
    occupies = POSTGRES
    seconds = (2.0, 6.0)

    @classmethod
    def unfit(cls) -> str:
        if not sys.platform.startswith("linux") or os.geteuid() != 0:
            return "only root may mount a small file system"
        return ""

    async def strike(self) -> None:
        self.place = self.world.directory / "small"
        async with self.world.session() as conn:
            if not self.place.exists():
                self._mount()
                await conn.execute(f"CREATE TABLESPACE small LOCATION '{self.place}'")
                await conn.execute("ALTER TABLE bridge_event_key SET TABLESPACE small")
        with (self.place / "ballast").open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError:
                self.bites = int(shutil.disk_usage(self.place).free == 0)

    def _mount(self) -> None:
        self.place.mkdir()
        mounted = ["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", str(self.place)]
        if subprocess.run(mounted, capture_output=True, check=False).returncode != 0:
            raise AssertionError("this container may not mount: leave disk-full out with --without")
        self.world.afterwards.append(lambda: subprocess.run(["umount", "-l", str(self.place)], check=False))
        owner = self.world.servers.data_directory.stat()
        os.chown(self.place, owner.st_uid, owner.st_gid)
        self.place.chmod(0o700)

    async def mend(self) -> None:
        (self.place / "ballast").unlink(missing_ok=True)


FAULTS = [
    ReadOnly,
    StatementTimeout,
    OutOfConnections,
    MonthMissing,
    OffsetsLocked,
    EventsLocked,
    DiskFull,
]
