"""A small process that runs one command, and ends it when the owner (the process OWNER_PID) has ended.

This file is started by its path and uses only the standard library: `keeper.py OWNER_PID COMMAND...`. When the
keeper's standard input ends, the owner has ended or wants the command to end. Then the command receives SIGTERM, and
SIGKILL after a grace period. The exit code is the command's, or 128 plus the number of the signal that ended it.
"""

import os
import select
import signal
import subprocess
import sys

_POLL_SECONDS = 0.1
_GRACE_SECONDS = 30.0


def _wait_for_either(child: subprocess.Popen[bytes], owner_pid: int) -> None:
    """Wait until the command has ended, or the owner has ended or wants the command to end."""
    while child.poll() is None:
        readable, _, _ = select.select([0], [], [], _POLL_SECONDS)
        if readable and not os.read(0, 4096):
            return
        # A fork of the owner may keep the pipe open after the owner has ended.
        if os.getppid() != owner_pid:
            return


def main() -> int:
    """Run the command to its end."""
    child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL)  # noqa: S603 - a command of this program, no shell
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    _wait_for_either(child, int(sys.argv[1]))
    if child.poll() is None:
        child.terminate()
    try:
        code = child.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
