"""Faults of Postgres as a server: killed, down, its sessions terminated."""

import asyncio
import signal
import time

from support.wait import wait_until

from tools.faults.catalogue.base import Fault

POSTGRES = frozenset({"postgres"})
_RESUME_SECONDS = 10.0
_RETURN_SECONDS = 20.0
"""Longer than a worker pauses between two attempts (streams/worker/backoff.py)."""


class PostgresKilled(Fault):
    """Postgres stops immediately, without a checkpoint, and is started again at the end."""

    name = "postgres-killed"
    occupies = POSTGRES
    seconds = (0.5, 6.0)
    how = signal.SIGQUIT

    async def strike(self) -> None:
        self.world.servers.signal("postgres", self.how)
        await self.world.servers.ended("postgres")
        self.bites = 1

    async def mend(self) -> None:
        await self.world.servers.start_postgres()


class PostgresRestarted(PostgresKilled):
    """Postgres shuts down cleanly (fast mode: it terminates all sessions), and is started again."""

    name = "postgres-restarted"
    seconds = (0.1, 2.0)
    how = signal.SIGINT


class PostgresAway(PostgresKilled):
    """Postgres is down for 301 s, longer than Kafka's default max.poll.interval.ms."""

    name = "postgres-away"
    seconds = (301.0, 301.0)
    quick = False
    back = False

    async def strike(self) -> None:
        await super().strike()
        await asyncio.sleep(self.seconds_long)
        await super().mend()
        self.back = True
        before = await self._settled()
        # The bound for the first commit after its return; the load has not stopped meanwhile.
        await wait_until(
            lambda: self._more_than(before), budget_seconds=_RESUME_SECONDS, describe="work resumed on Postgres' return"
        )

    async def mend(self) -> None:
        if not self.back:
            await super().mend()

    async def _settled(self) -> int:
        async with self.world.session() as conn:
            settled: int = await conn.fetchval("SELECT sum(next_offset)::bigint FROM stream_offset")
        return settled

    async def _more_than(self, before: int) -> bool:
        return await self._settled() > before


class PostgresAwayDuringAssignment(PostgresKilled):
    """Postgres is killed, then a worker: its partitions are reassigned while no worker can read an offset."""

    name = "postgres-away-during-assignment"
    occupies = frozenset({"postgres", "workers"})
    seconds = (8.0, 11.0)

    async def strike(self) -> None:
        await super().strike()
        names = self.world.fleet.names
        if names:
            await self.world.fleet.kill(names[self.aim % len(names)])

    async def mend(self) -> None:
        await super().mend()
        self.world.fleet.fill()


class SessionsEnded(Fault):
    """pg_terminate_backend on all sessions of the workers, repeatedly."""

    name = "sessions-ended"
    occupies = POSTGRES
    seconds = (1.0, 5.0)

    async def strike(self) -> None:
        # Directly after a cut the workers have no session until their next attempt: the fault waits for one.
        deadline = time.monotonic() + self.seconds_long + _RETURN_SECONDS
        async with self.world.session() as conn:
            for _ in range(max(1, round(self.seconds_long / 0.5))):
                self.bites += await self.world.end_sessions(conn)
                await asyncio.sleep(0.5)
            while not self.bites and time.monotonic() < deadline:
                self.bites += await self.world.end_sessions(conn)
                await asyncio.sleep(0.1)


FAULTS = [PostgresKilled, PostgresRestarted, PostgresAway, PostgresAwayDuringAssignment, SessionsEnded]
