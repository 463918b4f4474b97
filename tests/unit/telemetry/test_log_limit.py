"""The log limit in an outage: equal lines are limited per minute, and suppressed ones are counted."""

import io
import json
import logging
from collections import Counter

import pytest
import structlog
from support.logs import plain_logs

from telemetry import logging as logs
from telemetry.log_limit import MOST_A_MINUTE, LimitedHandler


class Clock:
    """A monotonic clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock()


@pytest.fixture
def written(clock: Clock, monkeypatch: pytest.MonkeyPatch):
    """The product's log output as JSON lines; the log setup is undone afterwards."""
    stream = io.StringIO()
    monkeypatch.setattr(logs, "LimitedHandler", lambda _stream: LimitedHandler(stream, clock))
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    logs.configure_logs("INFO", "json")
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = before
    root.setLevel(level)
    plain_logs()


def test_equal_warnings_are_written_so_often_and_then_counted(clock: Clock, written) -> None:
    """Product and library each log a line every tenth of a second for twenty minutes."""
    ours, theirs = structlog.stdlib.get_logger("limit.ours"), logging.getLogger("limit.theirs")
    minutes, sent = 20, 12_000
    for number in range(sent):
        clock.now = number / 10
        ours.warning("registry_read_failed", error=f"try {number}")
        theirs.error("Unable connect to node with id %s", number)
    clock.now += 120
    ours.info("resumed")

    lines = written()
    counts = Counter(line["event"] for line in lines)
    assert counts["registry_read_failed"] == minutes * MOST_A_MINUTE
    assert counts["lines_kept_back"] == 2 * minutes
    kept_back: Counter[str] = Counter()
    for line in lines:
        if line["event"] == "lines_kept_back":
            kept_back[line["of"]] += line["count"]
    assert counts["registry_read_failed"] + kept_back["registry_read_failed"] == sent
    assert kept_back["Unable connect to node with id %s"] == sent - minutes * MOST_A_MINUTE
    assert lines[-1]["event"] == "resumed"


def test_other_lines_and_what_is_critical_are_never_kept_back(written) -> None:
    """A flood hides no other kind, no single line and no critical line."""
    ours = structlog.stdlib.get_logger("limit.other")
    for _ in range(10 * MOST_A_MINUTE):
        ours.warning("flood")
    ours.warning("breaker_closed")
    for _ in range(2 * MOST_A_MINUTE):
        ours.info("assigned")
        ours.critical("worker_failed")

    counts = Counter(line["event"] for line in written())
    assert counts == Counter(
        flood=MOST_A_MINUTE, breaker_closed=1, assigned=2 * MOST_A_MINUTE, worker_failed=2 * MOST_A_MINUTE
    )


def test_the_kinds_that_are_remembered_are_bounded(clock: Clock, written) -> None:
    """Messages that contain values make endless kinds; beyond the limit they share one."""
    theirs = logging.getLogger("limit.values")
    for number in range(5000):
        theirs.warning(f"partition {number} is away")
    assert len(written()) == 500 + MOST_A_MINUTE
    clock.now += 61
    theirs.warning("over")
    assert [line["count"] for line in written() if line["event"] == "lines_kept_back"] == [4500 - MOST_A_MINUTE]
