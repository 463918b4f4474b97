"""Processes that begin as forks of a program that has loaded the product, instead of with a second of imports.

Only command line and memory tell one from a process that Python started: it is a child of this process, with its own
environment, session and standard streams.
"""

import atexit
import inspect
import json
import os
import platform
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.processes.programs import CHECKOUT
from support.processes.warm_server import SYSTEM_CALLS

_PROGRAM = Path(__file__).with_name("warm_server.py")
_SUPPORTED = sys.platform == "linux" and platform.machine() in SYSTEM_CALLS
_VARIABLES = os.environ | {"PYTHONPATH": str(CHECKOUT)}
_READ_LATE = ("BRIDGE_", "GHOSTLINK_", "PYTEST_")
"""Prefixes of variables that nothing reads on import. Another variable with a different value prevents a fork."""
_PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
_SIGNATURE = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]
_USUAL = {
    "executable": None, "preexec_fn": None, "close_fds": True, "pass_fds": (), "shell": False, "restore_signals": True,
    "gid": None, "gids": None, "uid": None, "umask": -1, "process_group": -1,
}  # fmt: skip


class WarmWords(list[str]):
    """The words `python -m module ...` of a process that may begin as a fork.

    A test of the start, of imports, of memory or of the command line starts an ordinary list.
    """


class WarmServer:
    """The program that forks; it starts with the first request and ends with this process."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._requests: socket.socket | None = None

    def start(
        self, words: list[str], variables: Mapping[str, str], files: Sequence[int], *, new_session: bool
    ) -> int | None:
        """Start the process and return its id, or None if only an ordinary start gives it these variables."""
        differing = {name for name, _ in _VARIABLES.items() ^ variables.items()}
        if not all(name.startswith(_READ_LATE) for name in differing):
            return None
        return self._ask({"words": words, "variables": dict(variables), "new_session": new_session}, files)

    def _ask(self, request: Mapping[str, object], files: Sequence[int]) -> int:
        with self._mutex:
            requests = self._requests = self._requests or self._begin()
            socket.send_fds(requests, [json.dumps(request).encode()], files)
            answer = requests.recv(64)
        if not answer:
            raise RuntimeError(f"{_PROGRAM} has ended; its output says why")
        return int(answer)

    def _begin(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            words = [sys.executable, str(_PROGRAM), str(number)]
            program = subprocess.Popen(
                words, env=_VARIABLES, cwd=CHECKOUT, pass_fds=(number,), stdin=subprocess.DEVNULL
            )

        def end() -> None:
            ours.close()
            program.wait()

        atexit.register(end)
        return ours


_SERVER = WarmServer()


class WarmProcess(subprocess.Popen):  # type: ignore[type-arg]  # whether bytes or text is the caller's to say
    """A process that begins as a fork if its words are WarmWords, and its other options are the usual ones."""

    def _execute_child(self, *given: Any, **named: Any) -> None:
        options = _SIGNATURE.bind(self, *given, **named).arguments
        pid = self._forked(**options) if _SUPPORTED and isinstance(options["args"], WarmWords) else None
        if pid is None:
            super()._execute_child(*given, **named)  # type: ignore[misc]
            return
        self.pid, self._child_created = pid, True
        self._close_pipe_fds(*(options[name] for name in _PIPES))  # type: ignore[attr-defined]

    @staticmethod
    def _forked(*, args: WarmWords, env: Mapping[str, str] | None, cwd: Any, **options: Any) -> int | None:
        usual = all(options.get(name, value) == value for name, value in _USUAL.items())
        if not usual or Path(cwd or Path.cwd()) != CHECKOUT:
            return None
        theirs = (options["p2cread"], options["c2pwrite"], options["errwrite"])
        files = [number if file == -1 else file for number, file in enumerate(theirs)]
        variables = os.environ if env is None else env
        return _SERVER.start(list(args), variables, files, new_session=options["start_new_session"])
