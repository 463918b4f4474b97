"""A small process that launches the servers, and ends them when its owner (the process that started it) has ended.

This file is started by its path and uses only the standard library. The process reads one JSON request a line from its
standard input, and answers each on its standard output. The end of its input means that the owner has ended.
"""

import errno
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 15.0


class Supervisor:
    """Holds the launched servers until the owner has ended."""

    def __init__(self, owner_pid: int) -> None:
        self._owner_pid = owner_pid
        self._children: list[tuple[subprocess.Popen[bytes], int]] = []

    def serve(self) -> None:
        """Answer requests until the input ends or the owner has ended."""
        pending = b""
        while True:
            readable, _, _ = select.select([0], [], [], _POLL_SECONDS)
            for child, _ in self._children:
                child.poll()
            if readable:
                read = os.read(0, 65_536)
                if not read:
                    return
                *lines, pending = (pending + read).split(b"\n")
                for line in lines:
                    self._answer(json.loads(line))
            # A fork of the owner may keep the pipe open after the owner has ended.
            elif os.getppid() != self._owner_pid:
                return

    def _answer(self, request: dict[str, Any]) -> None:
        try:
            reply: dict[str, Any] = {"pid": self._launch(request)}
        except (OSError, ValueError) as error:
            reply = {"error": str(error)}
        os.write(1, json.dumps(reply).encode() + b"\n")

    def _launch(self, request: dict[str, Any]) -> int:
        log = _open_log(request["log"])
        try:
            child = subprocess.Popen(  # noqa: S603 - a command of this program, no shell
                request["argv"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=request["cwd"],
                env={**os.environ, **request["environment"]},
                user=request["uid"],
                group=request["gid"],
                extra_groups=None if request["uid"] is None else [],
                # Ctrl-C on the terminal must only reach the owner, which drains and then stops the servers.
                start_new_session=True,
                # Only the server's account may read the files that the server writes.
                umask=0o077,
            )
        finally:
            os.close(log)
        self._children.append((child, int(request["stop_signal"])))
        return child.pid

    def end_all(self) -> None:
        """Send every server its stop signal, and kill those that don't stop."""
        for child, stop_signal in self._children:
            if child.poll() is None:
                child.send_signal(stop_signal)
        deadline = time.monotonic() + _GRACE_SECONDS
        for child, _ in self._children:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()


def _open_log(path: str) -> int:
    """Open a log. A link is refused, because it could redirect the server's output to any file."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ValueError(f"the log {path} is a link; remove the link") from error
        raise


def main() -> None:
    """Run `supervisor.py OWNER_PID owned|detached`."""
    owner_pid, mode = int(sys.argv[1]), sys.argv[2]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    supervisor = Supervisor(owner_pid)
    try:
        supervisor.serve()
    except BrokenPipeError:
        pass
    finally:
        if mode == "owned":
            supervisor.end_all()


if __name__ == "__main__":
    main()
