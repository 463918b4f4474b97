"""The workers of a run: real `bridge worker` processes, restarted when they end, as by an orchestrator."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from schemas.errors import PreconditionFailed

UNFIT = PreconditionFailed.exit_code
WORKER = Path(__file__).with_name("worker.py")
_STARTED = "worker_started"
_MINUTE = re.compile(r'"timestamp": ?"(\d{4}-\d\d-\d\dT\d\d:\d\d)')
_LOOK_SECONDS = 0.2
_RESTART_SECONDS = 1.0
_DRAIN_SECONDS = 60.0


class Exit(NamedTuple):
    """A worker that ended without a signal of the campaign."""

    name: str
    code: int
    last_words: str


class Fleet:
    """Keeps `size` workers running; `settings` are their BRIDGE_ variables."""

    def __init__(self, settings: Mapping[str, str], directory: Path, *, size: int, say: Callable[[str], None]) -> None:
        self._settings = dict(settings)
        self._directory = directory
        self._size = size
        self._say = say
        self._count = 0
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ending: set[str] = set()
        self.exits: list[Exit] = []
        self.largest_rss = 0
        self.started = 0

    @property
    def names(self) -> list[str]:
        """The running workers by age, without those that are being terminated."""
        return [name for name in self._running if name not in self._ending]

    @property
    def working(self) -> list[str]:
        """The running workers that have joined the group."""
        return [
            name for name in self.names if _STARTED in (self._directory / f"{name}.log").read_text(errors="replace")
        ]

    def start(self, *, armed: str | None = None, environment: Mapping[str, str] | None = None) -> str:
        """Start one more worker and return its name; with `armed` it sends itself SIGKILL at that point in the code."""
        self._count += 1
        name = f"worker-{self._count}"
        words = [sys.executable, str(WORKER), *([] if armed is None else [armed])]
        with (self._directory / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                words,
                env=os.environ | self._settings | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running[name] = process
        self.started += 1
        return name

    def fill(self) -> None:
        """Start the workers that are missing to `size`."""
        while len(self.names) < self._size:
            self.start()

    async def keep(self) -> None:
        """Until cancelled, record each worker that ends and start another one."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for name in self.names:
                code = self._running[name].poll()
                if code is not None:
                    del self._running[name]
                    self.exits.append(Exit(name, code, self.last_words(name)))
                    self._say(f"{name} ended by itself with {code}")
                    await asyncio.sleep(_RESTART_SECONDS)
                    self.fill()
                else:
                    self._measure(name)

    def _measure(self, name: str) -> None:
        with suppress(psutil.Error):
            self.largest_rss = max(self.largest_rss, psutil.Process(self._running[name].pid).memory_info().rss)

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def signal(self, name: str, number: signal.Signals) -> None:
        self._running[name].send_signal(number)

    async def kill(self, name: str) -> None:
        """Send SIGKILL; the worker is not replaced until `fill`."""
        process = self._running.pop(name)
        process.kill()
        await asyncio.to_thread(process.wait, 30)

    async def terminate(self, name: str) -> int:
        """Send SIGTERM; return the exit code, which is 0 after a drain."""
        process = self._running[name]
        self._ending.add(name)
        process.terminate()
        try:
            return await asyncio.to_thread(process.wait, _DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(30)
        finally:
            self._running.pop(name, None)
            self._ending.discard(name)

    async def kill_at(self, point: str, seconds: float) -> bool:
        """Start a worker that kills itself at a point in the code; return whether it did within so many seconds."""
        until = time.monotonic() + seconds
        code: int | None = UNFIT
        while code == UNFIT and time.monotonic() < until:
            # A service may be down when it starts.
            name = self.start(armed=point)
            process = self._running[name]
            self._ending.add(name)
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, max(0.0, until - time.monotonic()))
            code = process.poll()
            if code is None:
                process.kill()
                process.wait(30)
            self._running.pop(name, None)
            self._ending.discard(name)
        return code == -signal.SIGKILL

    def last_words(self, name: str, characters: int = 1500) -> str:
        return (self._directory / f"{name}.log").read_text(errors="replace")[-characters:]

    def logged(self, text: str) -> int:
        """Number of occurrences of the text in the workers' logs."""
        return sum(log.read_text(errors="replace").count(text) for log in self._directory.glob("worker-*.log"))

    def most_lines_a_minute(self) -> int:
        """The largest number of lines that one worker has logged in one minute of the clock."""
        most = 0
        for log in self._directory.glob("worker-*.log"):
            minutes = Counter(_MINUTE.findall(log.read_text(errors="replace")))
            most = max([most, *minutes.values()])
        return most

    def end(self) -> None:
        """Kill all workers that are left, also stopped ones."""
        for process in self._running.values():
            process.kill()
            process.wait(30)
        self._running.clear()
