"""The pipe between the supervisor and one of its processes: questions and answers, and the error of a failed start.

Messages are JSON: `[number, question]` to the process, and `[number, answer]` back. A failed start has the number 0.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple, NoReturn

from schemas.errors import BridgeError

PING: Final = "ping"
"""The question that every process answers."""

_START_FAILED: Final = 0
# A process that does not read would fill the pipe, and block the supervisor.
_MOST_UNREAD: Final = 16


class StartFailure(NamedTuple):
    """Why a process could not start. A `lasting` error would end a later start too."""

    text: str
    lasting: bool


class Asking:
    """The supervisor's end. Several threads may use it.

    `answers` is the number of answers, late ones too. `failure` is set if the process has reported a failed start.
    """

    def __init__(self, pipe: Connection, now: Callable[[], float] = time.monotonic) -> None:
        self._pipe = pipe
        self._now = now
        self._turn = threading.Lock()
        self._asked = _START_FAILED
        self._unread = 0
        self.answers = 0
        self.failure: StartFailure | None = None

    def ask(self, question: str, seconds: float) -> Any:
        """Return the answer, or None if the process does not answer within `seconds`."""
        with self._turn:
            self._asked += 1
            deadline = self._now() + seconds
            try:
                if self._unread < _MOST_UNREAD:
                    self._unread += 1
                    self._pipe.send_bytes(json.dumps([self._asked, question]).encode())
                while self._pipe.poll(max(0.0, deadline - self._now())):
                    number, answer = self._receive()
                    # The number of a late answer belongs to an earlier question.
                    if number == self._asked:
                        return answer
            except (OSError, EOFError):
                pass
            return None

    def read_failure(self) -> None:
        """Read what an ended process has left in the pipe."""
        with self._turn:
            try:
                while self._pipe.poll(0):
                    self._receive()
            except (OSError, EOFError):
                pass

    def close(self) -> None:
        """Close the pipe, after the process has ended."""
        with self._turn:
            self._pipe.close()

    def _receive(self) -> tuple[int, Any]:
        number, content = json.loads(self._pipe.recv_bytes())
        if number == _START_FAILED:
            self.failure = StartFailure(*content)
        else:
            self.answers += 1
            self._unread -= 1
        return number, content


class Answering:
    """The process's end. A thread answers, so that a busy event loop does not count as a process that has stopped."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sending = threading.Lock()

    def answer(self, answers: Mapping[str, Callable[[], Any]]) -> None:
        """Answer each question by a call of its function. When the supervisor has ended, send SIGTERM to this process."""
        known = {PING: lambda: True, **answers}
        threading.Thread(target=self._answer_all, args=[known], name="link", daemon=True).start()

    def start_failed(self, error: BridgeError, *, lasting: bool) -> NoReturn:
        """Report why this process can't start, and end it. The supervisor prints the error, once for all processes."""
        with suppress(OSError):
            self._send(_START_FAILED, StartFailure(str(error), lasting))
        # The libraries that host a service would log the error too.
        os._exit(error.exit_code)

    def _answer_all(self, answers: Mapping[str, Callable[[], Any]]) -> None:
        try:
            while True:
                number, question = json.loads(self._pipe.recv_bytes())
                try:
                    found = answers[question]()
                except Exception:  # noqa: BLE001  # whatever it is, the supervisor learns that there is no answer
                    found = None
                self._send(number, found)
        except (OSError, EOFError):
            os.kill(os.getpid(), signal.SIGTERM)

    def _send(self, number: int, content: Any) -> None:
        with self._sending:
            self._pipe.send_bytes(json.dumps([number, content]).encode())
