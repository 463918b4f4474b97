"""Launches servers through the supervisor (a small process that ends the servers with their owner), and ends it.

The owner is this process.
"""

import atexit
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from bridge.dev.stack.process import Identity, Launch
from schemas.errors import PreconditionFailed

_SCRIPT = Path(__file__).with_name("supervisor.py")
_EXIT_SECONDS = 20.0


class Owner:
    """The supervisor process of servers. If `owned`, the servers end with this process; otherwise they outlive it."""

    def __init__(self, *, owned: bool) -> None:
        self._mutex = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603 - a command of this program, no shell
            [sys.executable, "-I", "-S", str(_SCRIPT), str(os.getpid()), "owned" if owned else "detached"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        # This reference also keeps the pipe open if no other one is left. A closed pipe would end the servers.
        atexit.register(self.let_go)

    @property
    def pid(self) -> int:
        """Return the supervisor's pid."""
        return self._process.pid

    def launch(self, launch: Launch) -> Identity:
        """Launch a server; returns the identity of its process."""
        request = json.dumps(asdict(launch), default=str)
        reply = self._ask(request.encode() + b"\n")
        if "error" in reply:
            raise PreconditionFailed(f"can't run {launch.argv[0]}: {reply['error']}")
        pid = int(str(reply["pid"]))
        # A server that has died already is returned too, so that the caller reads its log as for other servers.
        return Identity.of(pid) or Identity(pid=pid, created=0.0)

    def _ask(self, line: bytes) -> dict[str, object]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise PreconditionFailed("the stack's supervisor has no pipes")
        with self._mutex:
            try:
                stdin.write(line)
                stdin.flush()
                answer = stdout.readline()
            except OSError:
                answer = b""
        if not answer:
            raise PreconditionFailed(f"the stack's supervisor (pid {self.pid}) has died; start the stack again")
        reply: dict[str, object] = json.loads(answer)
        return reply

    def let_go(self) -> None:
        """Close the pipe to the supervisor. The supervisor then ends the servers that it owns, and itself."""
        atexit.unregister(self.let_go)
        for pipe in filter(None, (self._process.stdin, self._process.stdout)):
            with suppress(OSError):
                pipe.close()
        try:
            self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
