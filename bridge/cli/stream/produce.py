"""`bridge produce FILE|-`: publishes lines of JSON to the raw topic, with their exact bytes."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, result, run, say, write_json
from bridge.cli.interrupts import sigterm_interrupts
from bridge.publish.lines import ChunkReader
from bridge.publish.publisher import RawPublisher
from bridge.publish.session import Published, PublishSession
from schemas.config.settings import Settings
from schemas.documents.run_summary import RunSummary, begin_summary
from schemas.errors import InvalidInput

_INTERRUPTED = 130
_STANDARD_INPUT = "standard input"


def produce(
    source: Annotated[
        str, typer.Argument(metavar="FILE|-", help="File with one JSON event a line; - is standard input.")
    ],
    key_from_event: Annotated[
        bool,
        typer.Option(
            "--key-from-event/--no-key",
            help="Use each event's site and id as its record key, so that duplicates reach the same partition; or no key.",
        ),
    ] = True,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Publish lines of JSON to the raw topic, with their exact bytes, and wait until Kafka has acknowledged each.

    Blank lines and a byte order mark are skipped. Input that is not one event a line (UTF-16, compressed, an array,
    JSON over several lines) is refused, and none of it is published. A file can be sent twice: events that are
    persisted already count as duplicates.

    The exit code is 0 if every line was acknowledged, 2 if some were, 1 if none was, and 3 for refused input or if
    Kafka is unreachable.
    """
    settings = command_settings(verbose=verbose, mute_kafka=True)
    begun = begin_summary("produce", datetime.now(UTC), RunSummary)
    with sigterm_interrupts(), _opened(source) as (descriptor, name):
        published = run(_publish(settings, descriptor, name, keyed=key_from_event))
    _tell(published)
    if json_output:
        write_json(_summary(begun, published).model_dump(), json_output)
    if json_output != "-":
        result(f"{_counts(published)}, blank {published.blank}")
    raise typer.Exit(_exit_code(published))


@contextmanager
def _opened(source: str) -> Iterator[tuple[int, str]]:
    """Open the source; yields its file descriptor and its name for messages.

    Raises InvalidInput if it can't be opened.
    """
    if source == "-":
        yield sys.stdin.fileno(), _STANDARD_INPUT
        return
    try:
        descriptor = os.open(source, os.O_RDONLY)
    except OSError as error:
        raise InvalidInput(f"cannot read {source}: {error.strerror}; give a file of JSON lines, or -") from error
    try:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise InvalidInput(f"cannot read {source}: it is a directory; give a file of JSON lines, or -")
        yield descriptor, source
    finally:
        os.close(descriptor)


async def _publish(settings: Settings, descriptor: int, name: str, *, keyed: bool) -> Published:
    publisher = RawPublisher(settings)
    await publisher.start()
    try:
        path = "" if name == _STANDARD_INPUT else name
        reader = ChunkReader(descriptor, name)
        return await PublishSession(publisher, reader, keyed=keyed, progress=_progress, path=path).run()
    finally:
        await publisher.close()


def _counts(published: Published) -> str:
    return f"read {published.read}, acknowledged {published.acknowledged}, failed {published.failed}"


def _progress(published: Published) -> None:
    say(_counts(published))


def _tell(published: Published) -> None:
    """Report failures on standard error."""
    for error in published.errors:
        say(f"error: {error.target}: {error.reason}")
    if published.interrupted:
        say(f"interrupted: {published.acknowledged} of {published.read} lines read were acknowledged")
    if published.failed and published.acknowledged:
        say(
            "correct this, then send the whole input again: events that are persisted already are dropped as duplicates"
        )


def _summary(begun: RunSummary, published: Published) -> RunSummary:
    return begun.ended(
        datetime.now(UTC),
        targets_total=1,
        processed_total=published.read,
        succeeded_total=published.acknowledged,
        failed_total=published.failed,
        errors=published.errors,
        blank_total=published.blank,
        interrupted=published.interrupted,
        events_per_second=round(published.acknowledged / published.seconds) if published.seconds else 0,
    )


def _exit_code(published: Published) -> int:
    if published.interrupted:
        return _INTERRUPTED
    if not published.failed:
        return 0
    return 2 if published.acknowledged else 1
