"""A program that prints what a process can see of its own start, or ends in the way of its second argument."""

import atexit  # noqa: F401 - for the code that is given
import json
import os
import signal
import sys
import threading


def main() -> None:
    """Print it as JSON."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    seen = {
        "argv": sys.argv,
        "words": sys.orig_argv,
        "path": sys.path,
        "environment": dict(os.environ),
        "directory": os.getcwd(),  # noqa: PTH109
        "parent": os.getppid(),
        "leads its session": os.getsid(0) == os.getpid(),
        "threads": threading.active_count(),
        "files": sorted(int(name) for name in os.listdir("/proc/self/fd")),  # noqa: PTH208
        "signals": {one.name: str(signal.getsignal(one)) for one in signal.Signals},
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "streams": [
            (one.name, one.mode, one.encoding, one.errors, one.line_buffering, one.write_through, one.seekable())
            for one in streams
        ],
        "the interpreter's own": [
            one is other for one, other in zip(streams, (sys.__stdin__, sys.__stdout__, sys.__stderr__), strict=True)
        ],
        "main": (sys.modules["__main__"].__file__, __spec__.name if __spec__ else None),
    }
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    if sys.argv[1] == "code":
        exec(sys.argv[2])
    else:
        main()
        sys.exit(int(sys.argv[1]))
