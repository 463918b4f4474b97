"""A real worker or gateway in a separate process, which ends at the latest when its owner ends."""

import asyncio
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bridge.dev.stack.ports import LOOPBACK
from bridge.dev.stack.process import decisive_line
from schemas.errors import BridgeError

_KEEPER = Path(__file__).with_name("keeper.py")
_DRAIN_SECONDS = 45.0
_START_SECONDS = 60.0
_LOOK_SECONDS = 0.1
_TELLING = re.compile(r"error|critical", re.IGNORECASE)


class WorkerDied(BridgeError):
    """The worker's or gateway's process ended without being asked to end, or ended with an error."""


class WorkerProcess:
    """The process of one `bridge worker`, or of another `bridge` command.

    The process's output goes to `log`; without a log, to this process's standard error.
    """

    def __init__(
        self, environment: Mapping[str, str], log: Path | None = None, command: Sequence[str] = ("worker",)
    ) -> None:
        self._environment = environment
        self._log = log
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process, without waiting until it is ready."""
        words = [sys.executable, "-I", "-S", str(_KEEPER), str(os.getpid())]
        words += [sys.executable, "-P", "-m", "bridge", *self._command]
        output = None if self._log is None else os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=2 if output is None else output,
                stderr=2 if output is None else output,
                env=dict(self._environment),
                # A new session: Ctrl-C on the terminal must only reach the owner, which drains the worker.
                start_new_session=True,
            )
        finally:
            if output is not None:
                os.close(output)

    def check(self) -> None:
        """Check that the process runs; raises WorkerDied, with the reason, if it has ended."""
        if self._process is not None and (code := self._process.returncode) is not None:
            raise self._died(f"ended with exit code {code}")

    async def listening(self, port: int) -> None:
        """Wait until the process accepts connections on this loopback port.

        Raises WorkerDied if the process ends or takes too long.
        """
        deadline = time.monotonic() + _START_SECONDS
        while True:
            self.check()
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, port)
            except OSError:
                if time.monotonic() > deadline:
                    raise self._died(f"does not listen after {_START_SECONDS:g} s") from None
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                writer.close()
                return

    async def ended(self) -> None:
        """Wait until the process has ended."""
        if self._process is not None:
            await self._process.wait()

    async def drain(self) -> int:
        """Send SIGTERM, so that the process finishes its batch in flight.

        Returns its exit code, 0 after a clean drain.
        """
        process = self._process
        if process is None:
            return 0
        if process.returncode is None and process.stdin is not None:
            process.stdin.close()
        try:
            return await asyncio.wait_for(process.wait(), _DRAIN_SECONDS)
        except TimeoutError:
            process.kill()
            raise self._died(f"did not end within {_DRAIN_SECONDS:g} s") from None

    def _died(self, how: str) -> WorkerDied:
        """Return the error, with the log's line that has the cause, if there is one."""
        line = "" if self._log is None else decisive_line(self._log, 0)
        return WorkerDied(f"the {self._command[0]} {how}" + (f": {line}" if _TELLING.search(line) else ""))
