"""A real `bridge worker` with several processes."""

import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from schemas.config.settings import Settings
from support.events.settled import environment_of
from support.processes.command import words
from support.processes.programs import CHECKOUT, environment
from support.wait import wait_until

_START_SECONDS = 90


class SeveralWorkers:
    """A running command, its log and its pages."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self._log = log
        self.url = ""

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """The log's lines, or those of an event."""
        found = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [line for line in found if event in ("", line["event"])]

    def text(self) -> str:
        """The end of the log."""
        return self._log.read_text()[-4000:]

    async def get(self, path: str) -> httpx.Response:
        """Request a page of the supervisor."""
        async with httpx.AsyncClient(base_url=self.url, timeout=20) as client:
            return await client.get(path)

    async def figures(self) -> dict[str, float]:
        """The series of /metrics with their values."""
        text = (await self.get("/metrics")).text
        pairs = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    async def is_ready(self) -> bool:
        """Whether every process has partitions and is ready."""
        with suppress(httpx.HTTPError):
            answer = await self.get("/ready")
            return answer.status_code == 200 and answer.json()["state"] == "healthy"
        return False

    def pids(self) -> list[int]:
        """The pids of its processes."""
        return spawned(self.process.pid)


def spawned(supervisor: int) -> list[int]:
    """The pids of a supervisor's processes, without multiprocessing's resource tracker."""
    pids = []
    for child in psutil.Process(supervisor).children():
        with suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                pids.append(child.pid)
    return sorted(pids)


@asynccontextmanager
async def several_workers(
    settings: Settings, log: Path, *, ready: bool = True, **more: str
) -> AsyncIterator[SeveralWorkers]:
    """Run the command with two processes; wait until both are ready, and kill them at the end if they still run."""
    own = environment_of(settings, BRIDGE_WORKER_PROCESSES="2", BRIDGE_LANES="2", BRIDGE_LOG_FORMAT="json", **more)
    with log.open("ab") as output:
        process = subprocess.Popen(
            words("worker"), env=environment(own), cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    found = SeveralWorkers(process, log)
    try:
        if ready:
            await wait_until(lambda: found.lines("metrics_served"), budget_seconds=_START_SECONDS, describe=found.text)
            found.url = found.lines("metrics_served")[0]["url"].removesuffix("/metrics")
            await wait_until(found.is_ready, budget_seconds=_START_SECONDS, describe=found.text)
        yield found
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
