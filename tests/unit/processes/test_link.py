"""The pipe between the supervisor and a process: answers in time, late ones, and none."""

import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import Pipe
from typing import Any

import pytest

from bridge.processes import link
from bridge.processes.link import PING, Answering, Asking, StartFailure
from schemas.errors import PreconditionFailed


class Ended(Exception):
    """Instead of the end of the process."""


class Ends:
    """Both ends of a pipe."""

    def __init__(self) -> None:
        ours, self.theirs = Pipe()
        self.asking, self.answering = Asking(ours), Answering(self.theirs)


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    killed: list[Any] = []
    gone = threading.Event()

    def kill(*arguments: int) -> None:
        killed.append(arguments)
        gone.set()

    monkeypatch.setattr(link.os, "kill", kill)
    made = Ends()
    yield made
    made.asking.close()
    # The thread that answers ends with the pipe, as in a process whose supervisor has ended.
    if [one for one in threading.enumerate() if one.name == "link"]:
        assert gone.wait(10)
        assert killed == [(os.getpid(), signal.SIGTERM)]
    made.theirs.close()


def test_questions_are_answered(ends: Ends) -> None:
    """Every process answers a ping; an error and an unknown question have no answer."""
    ends.answering.answer({"ready": lambda: [200, {"a": 1}], "wrong": lambda: 1 / 0})
    assert ends.asking.answers == 0
    assert ends.asking.ask(PING, 10) is True
    assert ends.asking.answers == 1
    assert ends.asking.ask("ready", 10) == [200, {"a": 1}]
    assert ends.asking.ask("wrong", 10) is None
    assert ends.asking.ask("other", 10) is None
    assert ends.asking.ask(PING, 10) is True


def test_a_late_answer_is_not_the_next_one(ends: Ends) -> None:
    """A question that was given up does not shift the answers."""
    may = threading.Event()
    ends.answering.answer({"slow": lambda: may.wait(10) and "late", "quick": lambda: "quick"})
    assert ends.asking.ask("slow", 0) is None
    may.set()
    assert ends.asking.ask("quick", 10) == "quick"


@pytest.mark.timeout(30)
def test_a_process_that_does_not_read_does_not_block_the_supervisor(ends: Ends) -> None:
    """The pipe holds a few hundred questions. When the process reads again, it is asked again."""
    for _ in range(2000):
        assert ends.asking.ask("x" * 100, 0) is None
    ends.answering.answer({"x" * 100: lambda: False})
    assert any(ends.asking.ask(PING, 0.5) for _ in range(50))


def test_a_process_that_has_ended_does_not_answer(ends: Ends) -> None:
    """A closed pipe is no answer."""
    ends.theirs.close()
    assert ends.asking.ask(PING, 10) is None


@pytest.mark.parametrize("lasting", [True, False])
def test_a_failed_start_is_reported(ends: Ends, monkeypatch: pytest.MonkeyPatch, lasting: bool) -> None:
    """The report is also read if it precedes an answer, and after the process has ended."""

    def end(code: int) -> None:
        assert code == 3
        raise Ended

    monkeypatch.setattr(link.os, "_exit", end)
    with pytest.raises(Ended):
        ends.answering.start_failed(PreconditionFailed("no such database"), lasting=lasting)
    ends.theirs.close()
    ends.asking.read_failure()
    assert ends.asking.failure == StartFailure("no such database", lasting)
    assert ends.asking.answers == 0
