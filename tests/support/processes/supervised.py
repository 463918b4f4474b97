"""A supervisor of two processes that behave as a test names it."""

import random
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bridge.processes import supervisor
from bridge.processes.link import PING, Answering
from bridge.processes.supervisor import Supervisor, shared_metrics
from schemas.errors import BridgeError, PreconditionFailed
from telemetry import metrics
from telemetry.logging import configure_logs
from telemetry.terminal import say_error


def steady(_link: Answering, _starts: int) -> int:
    """Run until SIGTERM."""
    return 0


def dies(_link: Answering, starts: int) -> int:
    """Die with 1 at the first two starts."""
    return 0 if starts > 2 else 1


def refused(link: Answering, _starts: int) -> int:
    """Never be able to start."""
    link.start_failed(PreconditionFailed("no such database\nand no such topic"), lasting=True)


def away(link: Answering, starts: int) -> int:
    """Not be able to start the first time."""
    if starts == 1:
        link.start_failed(PreconditionFailed("Postgres is away"), lasting=False)
    return 0


def defective(_link: Answering, _starts: int) -> int:
    """End the drain with 1."""
    return -1


BEHAVIOURS: dict[str, Callable[[Answering, int], int]] = {
    one.__name__: one for one in (steady, dies, refused, away, defective)
}


def note(path: Path) -> bool:
    """Append to the file, whose length is a count."""
    with path.open("a") as stream:
        stream.write("x")
    return True


def run(behaviour: str, directory: Path, number: int, link: Answering) -> None:
    """Note the start and the end in files, behave in the second process, and otherwise wait for SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    note(directory / f"started-{number}")
    count = len((directory / f"started-{number}").read_text())
    if count == 1:
        metrics.LANES.set(1)
    code = BEHAVIOURS[behaviour](link, count) if number == 2 else 0
    if code > 0:
        sys.exit(code)
    link.answer({PING: partial(note, directory / f"answered-{number}")})
    while not ended.wait(0.05):
        pass
    (directory / f"drained-{number}").touch()
    sys.exit(-code)


def main() -> None:
    """Run the supervisor; the arguments are the behaviour, and the directory of the notes."""
    behaviour, place = sys.argv[1], Path(sys.argv[2])
    configure_logs("INFO", "json", "test")
    supervisor.FIRST_SECONDS, supervisor._PING_EVERY_SECONDS, supervisor.MOST_UNANSWERED = 0.1, 0.1, 3  # type: ignore[misc]
    with shared_metrics("test") as directory:
        (place / "shared").symlink_to(directory)
        try:
            sys.exit(Supervisor(partial(run, behaviour, place), 2, directory, random.random).run())
        except BridgeError as error:
            say_error(error)
            sys.exit(error.exit_code)
