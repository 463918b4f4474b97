"""Faults of workers: killed, stopped, terminated, joined by others, and killed at the worst moments."""

import asyncio
import signal

from support.wait import wait_until

from tools.faults.catalogue.base import Fault
from tools.faults.worker import AFTER_PUBLISHING, BEFORE_COMMIT, BEFORE_KAFKA_COMMIT, BETWEEN_STATEMENTS, MID_COPY

WORKERS = frozenset({"workers"})
_POINT_SECONDS = 90.0
"""The point may be reached late when other faults delay all work."""


class _OneWorker(Fault):
    occupies = WORKERS
    victim = ""

    async def choose(self) -> str:
        """Choose a worker that has joined the group; wait for one if there is none."""
        await wait_until(lambda: self.world.fleet.working, budget_seconds=30, describe="a worker that works")
        names = self.world.fleet.working
        self.victim = names[self.aim % len(names)]
        return self.victim


class WorkerKilled(_OneWorker):
    """SIGKILL of one worker; it is replaced at the end."""

    name = "worker-killed"
    seconds = (0.5, 4.0)

    async def strike(self) -> None:
        await self.world.fleet.kill(await self.choose())
        self.bites = 1

    async def mend(self) -> None:
        self.world.fleet.fill()


class AllWorkersKilled(Fault):
    """SIGKILL of all workers; they are replaced at the end."""

    name = "all-workers-killed"
    occupies = WORKERS
    seconds = (0.2, 2.0)

    async def strike(self) -> None:
        for name in self.world.fleet.names:
            await self.world.fleet.kill(name)
            self.bites += 1

    async def mend(self) -> None:
        self.world.fleet.fill()


class WorkerStopped(_OneWorker):
    """SIGSTOP of one worker for longer than its session; after SIGCONT it has a batch in flight without its partitions."""

    name = "worker-stopped"
    seconds = (7.0, 11.0)

    async def strike(self) -> None:
        self.world.fleet.signal(await self.choose(), signal.SIGSTOP)
        self.bites = 1

    async def mend(self) -> None:
        if self.victim in self.world.fleet.names:
            self.world.fleet.signal(self.victim, signal.SIGCONT)


class WorkerTerminated(_OneWorker):
    """SIGTERM of one worker, which has to drain and exit with 0; it is replaced."""

    name = "worker-terminated"
    seconds = (0.5, 4.0)

    async def strike(self) -> None:
        victim = await self.choose()
        code = await self.world.fleet.terminate(victim)
        self.bites = 1
        if code != 0:
            raise AssertionError(f"{victim} got SIGTERM and ended with {code}")

    async def mend(self) -> None:
        self.world.fleet.fill()


class WorkersJoining(Fault):
    """More workers join one after another and are terminated at the end: one rebalance after another."""

    name = "workers-joining"
    occupies = WORKERS
    seconds = (6.0, 10.0)

    async def strike(self) -> None:
        self.joined = []
        for _ in range(2):
            self.joined.append(self.world.fleet.start())
            await asyncio.sleep(self.seconds_long / 4)
        self.bites = len(self.joined)

    async def mend(self) -> None:
        for name in self.joined:
            if name in self.world.fleet.names:
                await self.world.fleet.terminate(name)


class WorkerKilledAtAPoint(Fault):
    """One more worker, which sends itself SIGKILL at a point of its third commit of a batch."""

    occupies = WORKERS
    seconds = (6.0, 10.0)
    point: str

    async def strike(self) -> None:
        self.bites = int(await self.world.fleet.kill_at(self.point, _POINT_SECONDS))


_POINTS = {
    AFTER_PUBLISHING: "when retry records are published and its transaction has not begun",
    BETWEEN_STATEMENTS: "between two statements of its transaction",
    MID_COPY: "in the middle of a COPY",
    BEFORE_COMMIT: "when everything is written and nothing committed",
    BEFORE_KAFKA_COMMIT: "when Postgres has committed and the offset in Kafka is not committed",
}
KILLED_AT_POINTS = [
    type(
        f"Killed{point.title().replace('-', '')}",
        (WorkerKilledAtAPoint,),
        {
            "__doc__": f"One more worker, which ends itself with SIGKILL {when}, in its third settlement.",
            "name": f"killed-{point}",
            "point": point,
        },
    )
    for point, when in _POINTS.items()
]
FAULTS = [WorkerKilled, AllWorkersKilled, WorkerStopped, WorkerTerminated, WorkersJoining, *KILLED_AT_POINTS]
