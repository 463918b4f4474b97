"""A program that has loaded the product, and forks a process for each command that its parent sends.

It imports modules only: no thread, loop or connection exists before a fork. A fork becomes a child of the process that
started this program, so that its parent waits for it, signals it and learns its exit code as for any other child.
"""

import atexit
import ctypes
import gc
import importlib
import io
import json
import os
import platform
import runpy
import signal
import socket
import sys
import threading
import time
import types
from contextlib import suppress
from pathlib import Path
from pkgutil import walk_packages
from typing import Any, NoReturn, TextIO, cast

PRODUCT = ("bridge", "streams", "sinks", "telemetry", "schemas")
SYSTEM_CALLS = {"x86_64": 56, "aarch64": 220}
"""The number of the system call `clone` on each kind of processor."""
LARGEST_REQUEST = 2**17
_UNUSED = ("bridge.dev", "bridge.__main__")
"""Modules of the embedded servers and the demonstration are recognised by their command lines, so they never fork."""
_CLONE_PARENT = 0x8000


def load() -> None:
    """Import the product; freeze the modules' objects, so that no fork copies them for a garbage collection."""
    for package in PRODUCT:
        for module in walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.startswith(_UNUSED):
                importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


def fork() -> int:
    """Fork as os.fork does, but make a child of this process's parent."""
    python = ctypes.pythonapi
    number, flags = SYSTEM_CALLS[platform.machine()], _CLONE_PARENT | signal.SIGCHLD
    python.PyOS_BeforeFork()
    # PyDLL keeps the interpreter's lock during the call: the child needs it.
    pid: int = ctypes.PyDLL(None).syscall(number, flags, None, None, None, None)
    if pid == 0:
        python.PyOS_AfterFork_Child()
    else:
        python.PyOS_AfterFork_Parent()
    return pid


def serve(requests: socket.socket) -> dict[str, Any]:
    """Fork for each request until the parent ends; return the request in the new process."""
    while True:
        said, files, _, _ = socket.recv_fds(requests, LARGEST_REQUEST, 3)
        if not said:
            sys.exit()
        forked = fork() == 0
        for number, file in enumerate(files):
            if forked:
                os.dup2(file, number)
            os.close(file)
        if forked:
            request: dict[str, Any] = json.loads(said)
            return request


def become(words: list[str], variables: dict[str, str], *, new_session: bool) -> None:
    """Make this process the one that Python starts for the words `python -m module ...`."""
    if new_session:
        os.setsid()
    os.environ.clear()
    os.environ.update(variables)
    time.tzset()
    sys.stdin, sys.stdout, sys.stderr = streams = [_stream(number) for number in range(3)]
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = streams  # type: ignore[misc]
    sys.orig_argv = words
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv = words[1:2] + words[3:]


def run(module: str) -> NoReturn:
    """Run the module as `python -m` does; end as Python does, but let the modules be.

    To free their objects would copy most pages of the heap, which takes longer than many commands.
    """
    private: Any = (runpy, threading, atexit)
    code: object = None
    try:
        private[0]._run_module_as_main(module)
    except SystemExit as ended:
        code = ended.code
    if isinstance(code, int | None):
        private[1]._shutdown()
        private[2]._run_exitfuncs()
        # A stream that can't be written to fails in Python's own end as well, which says so.
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit((code or 0) & 0xFF)
    sys.exit(cast("Any", code))


def _stream(number: int) -> TextIO:
    """Open a standard stream as the interpreter does at its start."""
    before: Any = (sys.stdin, sys.stdout, sys.stderr)[number]
    at_once = bool(os.environ.get("PYTHONUNBUFFERED"))
    file: Any = open(number, before.mode + "b", buffering=0 if at_once and number else -1, closefd=False)  # noqa: SIM115
    (file if at_once and number else file.raw).name = before.name
    stream: Any = io.TextIOWrapper(
        file, encoding=before.encoding, errors=before.errors, newline="\n" if number else None,
        line_buffering=not at_once and (number == 2 or file.isatty()), write_through=at_once,
    )  # fmt: skip
    stream.mode = before.mode
    return cast("TextIO", stream)


def main() -> None:
    """Serve at the socket whose number is the only argument."""
    # Of this file's directory, nothing is a module of its own.
    sys.path[0] = str(Path.cwd())
    requests = socket.socket(fileno=int(sys.argv[1]))
    load()
    try:
        request = serve(requests)
    except KeyboardInterrupt:
        return
    become(**request)
    # Last, as an ordinary start returns only after the session and the streams are as asked.
    requests.send(str(os.getpid()).encode())
    requests.close()
    run(request["words"][2])


if __name__ == "__main__":
    main()
