"""Usage of a process and its children, measured from outside: CPU seconds and peak memory."""

import time

import psutil

APART_SECONDS = 0.25


class Usage:
    """The peak is that of the polled moments; polling costs CPU too, so polls have a minimum distance."""

    def __init__(self, pid: int | None = None) -> None:
        self._root = psutil.Process(pid)
        self._cpu: dict[int, float] = {}
        self._begun = 0.0
        self._next = 0.0
        self.peak_mb = 0.0

    def begin(self) -> None:
        """Start counting CPU seconds."""
        self._look()
        self._begun = sum(self._cpu.values())

    def look(self) -> None:
        """Poll; calls within the minimum distance have no effect."""
        if time.monotonic() >= self._next:
            self._look()

    def end(self) -> None:
        """Stop counting CPU seconds."""
        self._look()

    def _look(self) -> None:
        resident = 0
        for process in [self._root, *self._root.children(recursive=True)]:
            try:
                times = process.cpu_times()
                resident += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
            self._cpu[process.pid] = times.user + times.system
        self.peak_mb = max(self.peak_mb, resident / 2**20)
        self._next = time.monotonic() + APART_SECONDS

    @property
    def cpu_seconds(self) -> float:
        """Return the CPU seconds from `begin` to `end`."""
        return sum(self._cpu.values()) - self._begun

    def alive(self) -> bool:
        return self._root.is_running() and self._root.status() != psutil.STATUS_ZOMBIE
