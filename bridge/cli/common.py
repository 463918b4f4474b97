"""Shared parts of all commands: settings, logs, event loop, progress on standard error, results on standard output."""

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
import uvloop

from bridge.output.private_files import whole_file
from schemas.config.duration import Duration
from schemas.config.environment import unknown_variables
from schemas.config.settings import Settings, load_settings
from schemas.documents.dead_letter_filter import moment
from schemas.documents.run_summary import rfc3339
from schemas.errors import InvalidInput, PreconditionFailed, RowRejected, SinkUnavailable
from schemas.pipeline.record import TopicPartition
from sinks.refusals import refusal
from telemetry import terminal
from telemetry.error_reports import reporter
from telemetry.logging import configure_logs
from telemetry.printable import control_character, printable_json

T = TypeVar("T")
say, result = terminal.say, terminal.result

_DIGITS = 9
_RUN_LOGGERS: Final = ("bridge.jobs.frame", "bridge.jobs.run")
_LONGEST_REASON = 500

JsonOutput = Annotated[
    str | None, typer.Option("--json-output", metavar="PATH", help="Write the result as JSON; - is standard output.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log at DEBUG level.")]


def command_settings(
    *, verbose: bool = False, guarded: bool = False, mute_kafka: bool = False, service: str = "bridge", **overrides: Any
) -> Settings:
    """Load the settings from the environment and configure the logs; raises InvalidInput.

    Print a warning for each environment variable BRIDGE_* that no setting has, because it has no effect. A `guarded`
    command (a service with start guards, the checks before it starts) prints none, because its start guards report such
    variables, and refuse them in production. A `mute_kafka` command reports Kafka's errors itself; the log of Kafka's
    client, which repeats them for each connection attempt, is only written with `verbose`. `service` is the name of the
    service in every log line.
    """
    settings = load_settings(**{name: value for name, value in overrides.items() if value is not None})
    level = "DEBUG" if verbose else settings.log_level
    configure_logs(level, settings.log_format, service, report=reporter(settings, service))
    # On a terminal these lines are long, and repeat the result.
    brief = sys.stderr.isatty() and settings.log_format != "json" and not verbose
    for name in _RUN_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING if brief else logging.NOTSET)
    if mute_kafka and not verbose:
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    if not (guarded and settings.env == "production"):
        for line in unknown_variables():
            say(f"warning: {line}")
    return settings


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run one coroutine to its end.

    Raises PreconditionFailed if Postgres is unreachable or does not meet a requirement. The coroutine itself raises
    PreconditionFailed for errors of Kafka.
    """
    from sinks.kafka.connection import name_closed_connections

    name_closed_connections()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    except (SinkUnavailable, RowRejected) as error:
        raise PreconditionFailed(refusal(error)) from error


def partition(text: str, what: str) -> TopicPartition:
    """Parse `topic:partition` or `topic-partition`; raises InvalidInput.

    `what` is the name of the input in the error.
    """
    # Reports name partitions with a dash, as Kafka does.
    topic, _, number = text.rpartition("-" if ":" not in text else ":")
    if not topic or not (number.isascii() and number.isdigit()) or len(number) > _DIGITS:
        raise InvalidInput(f"{what}: {text!r} is not TOPIC:PARTITION, such as bridge.raw:3")
    return TopicPartition(topic, int(number))


def asked_org_ids(org_id: int | None, several: str | None) -> tuple[int, ...] | None:
    """Return the organisations of `--org-id` or `--org-ids`, None if neither is given; raises InvalidInput."""
    if several is None:
        return None if org_id is None else (org_id,)
    if org_id is not None:
        raise InvalidInput("give --org-id or --org-ids, not both")
    try:
        return tuple(sorted({int(part) for part in several.split(",")}))
    except ValueError:
        raise InvalidInput(f"--org-ids: {several!r} is not a list of numbers such as 3,14") from None


def asked_moment(option: str, text: str | None, now: datetime) -> datetime | None:
    """Return the time of an option such as `2h` (ago) or RFC 3339 text; None if the option is not given.

    Raises InvalidInput.
    """
    try:
        return None if text is None else moment(text, now)
    except ValueError as error:
        raise InvalidInput(f"{option}: {error}") from None


def given_reason(text: str) -> str:
    """Return the text of `--reason`; raises InvalidInput unless it is one non-empty line of plain text."""
    reason = text.strip()
    if not reason or len(text) > _LONGEST_REASON:
        raise InvalidInput(f"--reason: give a reason of 1 to {_LONGEST_REASON} characters")
    if (found := control_character(reason)) is not None:
        raise InvalidInput(f"--reason: contains the control character {found}; give one line of plain text")
    return reason


def row_document(row: Mapping[str, Any], form: Callable[[datetime], str] = rfc3339) -> dict[str, Any]:
    """Return the row as a JSON document, with its times in the form `form`; by default in UTC, in whole seconds."""
    return {name: form(value) if isinstance(value, datetime) else value for name, value in row.items()}


def write_json(document: Any, path: str) -> None:
    """Write a result to the file `path` as JSON in UTF-8, indented by 2; `-` is standard output.

    The file appears when it is complete. Only the account that runs the command can read it. Raises PreconditionFailed
    if the file can't be written.
    """
    text = json.dumps(document, ensure_ascii=False, indent=2, default=str)
    if path == "-":
        terminal.json_result(text)
        return
    with file_errors(f"cannot write {path}", "--json-output"), whole_file(Path(path)) as stream:
        stream.write(printable_json(text) + "\n")


@contextmanager
def file_errors(problem: str, option: str) -> Iterator[None]:
    """Raise PreconditionFailed for an OSError in the `with` block; the error advises another value of the option."""
    try:
        yield
    except OSError as error:
        raise PreconditionFailed(f"{problem}: {error.strerror}; choose another {option}") from error


def write_result(document: Any, json_output: str | None) -> bool:
    """Write the result as JSON if `--json-output` is given; raises PreconditionFailed.

    Return whether the result is also printed for people: if standard output is not for the JSON.
    """
    if json_output is not None:
        write_json(document, json_output)
    return json_output != "-"


def seconds_of(option: str, text: str) -> float:
    """Parse an option's duration into seconds; raises InvalidInput, which names the option."""
    try:
        return Duration(text).seconds
    except ValueError as error:
        raise InvalidInput(f"{option}: {error}") from None
