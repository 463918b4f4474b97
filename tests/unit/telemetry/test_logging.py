"""Log lines: one JSON object each from every logger, with the bound context and without secrets."""

import json
import logging
import subprocess
import sys

import pytest
import structlog
from aiokafka.errors import GroupAuthorizationFailedError, GroupCoordinatorNotAvailableError
from support.logs import plain_logs

from telemetry.logging import configure_logs


@pytest.fixture(autouse=True)
def _restored():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    plain_logs()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_has_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """A line has time, level, logger, service and the bound context."""
    configure_logs("INFO", "json", service="bridge-test")
    with structlog.contextvars.bound_contextvars(run_id="20260210T143001Z-8f1c"):
        structlog.get_logger("some.module").warning("something", elapsed_ms=12)

    (line,) = lines(capsys)
    assert line.pop("timestamp")
    assert line == {
        "event": "something", "level": "warning", "logger": "some.module", "service": "bridge-test",
        "run_id": "20260210T143001Z-8f1c", "job_id": "20260210T143001Z-8f1c",
        "correlation_id": "20260210T143001Z-8f1c", "elapsed_ms": 12,
    }  # fmt: skip


def test_a_line_of_several_processes_names_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """The supervisor's lines, which have no process, may be about one."""
    configure_logs("INFO", "json", process=2)
    structlog.get_logger("some.module").warning("something")
    configure_logs("INFO", "json")
    structlog.get_logger("other.module").warning("process_died", process=1)
    structlog.get_logger("third.module").warning("something")

    assert [line.get("process") for line in lines(capsys)] == [2, 1, None]


def test_a_run_that_a_request_began_correlates_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    """A search for the request finds the run's lines too."""
    configure_logs("INFO", "json")
    with structlog.contextvars.bound_contextvars(correlation_id="mine", run_id="20260210T143001Z-8f1c"):
        structlog.get_logger("some.module").info("run_started")

    (line,) = lines(capsys)
    assert (line["correlation_id"], line["job_id"]) == ("mine", "20260210T143001Z-8f1c")


ESCAPES = """
import threading, warnings
from telemetry.logging import configure_logs
configure_logs("INFO", "json")
warnings.warn("something is old")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
class Finalized:
    def __del__(self): raise OSError("too late")
Finalized()
"""


def test_what_escapes_its_caller_is_a_line_too() -> None:
    """Warnings and uncaught errors are JSON too, because log shippers refuse other lines."""
    ended = subprocess.run([sys.executable, "-c", ESCAPES], capture_output=True, check=True, text=True)

    found = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line["logger"] for line in found] == ["py.warnings", "threading", "gc"]
    assert "something is old" in found[0]["event"]
    assert "ZeroDivisionError" in found[1]["exception"]
    assert "too late" in found[2]["exception"]


def test_what_kafkas_client_tries_again_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """A new group's coordinator is unavailable at first, which is not worth an error report."""
    configure_logs("INFO", "json")
    logger = logging.getLogger("aiokafka.consumer.group_coordinator")
    logger.error("Group Coordinator Request failed: %s", GroupCoordinatorNotAvailableError())
    logger.error("Group Coordinator Request failed: %s", GroupAuthorizationFailedError())
    logger.error("Unable connect to node with id %s", 1)

    assert [line["level"] for line in lines(capsys)] == ["warning", "error", "error"]


def test_other_libraries_take_the_same_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Libraries' arguments and tracebacks are redacted as well."""
    configure_logs("INFO", "json")
    other = logging.getLogger("aiokafka.conn")
    try:
        raise OSError("postgresql://user:hunter22@db/x refused")
    except OSError:
        other.exception("connecting with %s", "password=hunter22")

    (line,) = lines(capsys)
    assert line["event"] == "connecting with password=***"
    assert line["logger"] == "aiokafka.conn"
    assert "hunter22" not in str(line)
    assert "postgresql://user:***@db/x refused" in str(line["exception"])


def test_a_secret_is_masked_in_ours(capsys: pytest.CaptureFixture[str]) -> None:
    """A secret is redacted by name, in a text, in a traceback and in the terminal's format."""
    for form in ("json", "console"):
        configure_logs("INFO", form)
        log = structlog.get_logger("ours")
        try:
            raise ValueError("Authorization: Bearer abcdefgh12345678")
        except ValueError:
            log.exception("failed", secret_key="abcdefgh12345678", error="sk_live_abcdefgh12345678")

        said = capsys.readouterr().err
        assert "failed" in said
        assert "abcdefgh12345678" not in said


def test_a_terminal_is_told_nothing_by_strangers(capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences of paths and errors are escaped, and a line break ends no log line."""
    configure_logs("INFO", "console")
    structlog.get_logger("ours").info("a\nb", path="/v1/\x1b[31mred\x9b", error="a\nb\x1b", more=["\u202e\x9b\n"])

    (line,) = capsys.readouterr().err.split("\n")[:-1]
    assert line.isprintable()
    assert "/v1/" in line
    assert "red" in line


def test_json_lines_hold_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    """Operators read them in a terminal; JSON itself allows C1 and direction marks."""
    configure_logs("INFO", "json")
    structlog.get_logger("ours").info("request", path="/v1/\x1b\x9b\u202e\x7f\n")

    said = capsys.readouterr().err
    assert said.removesuffix("\n").isprintable()
    assert json.loads(said)["path"] == "/v1/\x1b\x9b\u202e\x7f\n"


def test_a_line_that_cannot_be_made_is_told_without_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    """Python's logging would print template and arguments unredacted."""
    configure_logs("INFO", "json", service="bridge-test")
    logging.getLogger("theirs").warning("takes %d", "password=hunter22")
    logging.getLogger("theirs").warning("takes one %s", *("password=hunter22", "sk_live_hunter22"))

    said = lines(capsys)
    assert "hunter22" not in str(said)
    assert [(line["event"], line["logger"], line["level"], line["of"]) for line in said] == [
        ("line_not_written", "theirs", "error", "takes %d"), ("line_not_written", "theirs", "error", "takes one %s"),
    ]  # fmt: skip


def test_whatever_a_value_is_its_line_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    """Non-JSON keys, bytes and unprintable values are logged."""

    class Mute:
        def __str__(self) -> str:
            raise RuntimeError("password=hunter22")

        __repr__ = __str__

    for form in ("json", "console"):
        configure_logs("INFO", form)
        structlog.get_logger("ours").warning("odd", value={("a", b"token=hunter22"): b"\xff", Mute(): Mute()})
        said = capsys.readouterr().err
        assert "odd" in said
        assert "<Mute>" in said
        assert "hunter22" not in said
        assert "Traceback" not in said
