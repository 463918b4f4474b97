"""What processes cost, measured from outside: CPU seconds of each party in one window of time, and peak memory."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import psutil

APART_SECONDS = 0.25


class Usage:
    """CPU seconds and memory of a process and its children.

    CPU seconds of children that have ended are part of their parent's, so none are missed between two polls. The peak is
    that of the polled moments. A poll reads the whole process table, so polls have a minimum distance.
    """

    def __init__(self, pid: int | None = None) -> None:
        self._root = psutil.Process(pid)
        self._begun = 0.0
        self._spent = 0.0
        self._next = 0.0
        self.peak_mb = 0.0

    def begin(self) -> None:
        """Start counting CPU seconds."""
        self._look()
        self._begun = self._spent

    def look(self) -> None:
        """Poll; calls within the minimum distance have no effect."""
        if time.monotonic() >= self._next:
            self._look()

    def end(self) -> None:
        """Stop counting CPU seconds."""
        self._look()

    def _look(self) -> None:
        resident = spent = 0.0
        for process in [self._root, *self._root.children(recursive=True)]:
            try:
                with process.oneshot():
                    spent += sum(process.cpu_times()[:4])
                    resident += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        self._spent = spent
        self.peak_mb = max(self.peak_mb, resident / 2**20)
        self._next = time.monotonic() + APART_SECONDS

    @property
    def cpu_seconds(self) -> float:
        """Return the CPU seconds from `begin` to `end`."""
        return self._spent - self._begun

    def alive(self) -> bool:
        return self._root.is_running() and self._root.status() != psutil.STATUS_ZOMBIE


class Servers(NamedTuple):
    """The processes of the servers."""

    kafka_pid: int
    postgres_pid: int


class Cost(NamedTuple):
    """CPU of each party; the worker is the program that moves the events, whoever made it."""

    worker: float
    postgres: float
    broker: float

    @property
    def total(self) -> float:
        return sum(self)

    def of_each(self, events: float) -> "Cost":
        """Return microseconds of each event, from the seconds of all."""
        return Cost(*(seconds / events * 1e6 for seconds in self))


class Parties:
    """The parties of one run, measured in one window: start-up is left out, and so is all that happens before or after."""

    def __init__(self, workers: Sequence[Usage], servers: Servers) -> None:
        self._workers = workers
        self._postgres = Usage(servers.postgres_pid)
        self._broker = Usage(servers.kafka_pid)

    def begin(self) -> None:
        for usage in (*self._workers, self._postgres, self._broker):
            usage.begin()

    def look(self) -> None:
        """Poll the workers' memory."""
        for usage in self._workers:
            usage.look()

    def end(self) -> None:
        for usage in (*self._workers, self._postgres, self._broker):
            usage.end()

    def alive(self) -> bool:
        return all(usage.alive() for usage in self._workers)

    @property
    def peak_mb(self) -> float:
        return sum(usage.peak_mb for usage in self._workers)

    @property
    def cpu_seconds(self) -> Cost:
        workers = sum(usage.cpu_seconds for usage in self._workers)
        return Cost(workers, self._postgres.cpu_seconds, self._broker.cpu_seconds)
