"""The work of `bridge publish` from beginning to end: lines are read, get record keys, are published and counted."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from bridge.publish.forms import is_json, part_of_text, several_in
from bridge.publish.lines import MAX_LINE_BYTES, ChunkReader, Line, LinesOfEvents, LineSplitter
from bridge.publish.publisher import RawPublisher
from schemas.documents.run_summary import TargetError
from schemas.errors import SinkUnavailable
from schemas.pipeline.guess import guess

_LINGER_SECONDS = 0.05
_LONGEST_LINGER_SECONDS = 0.2
_IDLE_SECONDS = 1.0
_REPORT_SECONDS = 1.0
_LAST_WORDS_SECONDS = 5.0
_MOST_ERRORS = 100


class _Identity(msgspec.Struct, gc=False):
    event_id: str
    site_id: int


_identity = msgspec.json.Decoder(_Identity).decode


def key_of(value: bytes) -> bytes | None:
    """Return `{site_id}:{event_id}` of a line that parses as an object with both, else None."""
    try:
        identity = _identity(value)
        return f"{identity.site_id}:{identity.event_id}".encode()
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def guessed_key(value: bytes | None) -> bytes | None:
    """Return the record key `{site_id}:{event_id}` from the text of an invalid line; None if no site is found.

    The event in such a line can't be parsed, so its dead letter gets its site from the record key.
    """
    if value is None or is_json(value):
        return None
    guessed = guess(value)
    return None if guessed.site_id is None else f"{guessed.site_id}:{guessed.event_id or ''}".encode()


def _fault(value: bytes | None, key: bytes | None) -> str:
    """Return why a line is not published; an empty string if it is published.

    Invalid events are published too: the stream validates them later.
    """
    if value is None:
        return f"the line is longer than {MAX_LINE_BYTES} bytes"
    if key is not None:
        return ""
    if part_of_text(value):
        return "the line is a part of JSON over several lines; write each event in one line"
    several = several_in(value)
    return several and f"{several}; write each event in a line of its own"


@dataclass(slots=True)
class Published:
    """Counts of one publishing of lines. `read` is the number of lines that are not blank."""

    read: int = 0
    blank: int = 0
    acknowledged: int = 0
    failed: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    errors: list[TargetError] = field(default_factory=list)

    def fault(self, target: str, reason: str) -> None:
        """Record why a line was not published; only the first hundred errors are kept."""
        if len(self.errors) < _MOST_ERRORS:
            self.errors.append(TargetError(target=target, reason=reason))


class PublishSession:
    """Publishes the lines of a reader.

    `progress` is called once a second with the counts so far. `path` is the path of the file, if the input is a file.
    """

    def __init__(
        self,
        publisher: RawPublisher,
        reader: ChunkReader,
        *,
        keyed: bool,
        progress: Callable[[Published], None],
        path: str = "",
    ) -> None:
        self._publisher = publisher
        self._reader = reader
        self._keyed = keyed
        self._progress = progress
        self._lines = LineSplitter()
        self._events = LinesOfEvents(path)
        self._refused = 0
        self._published = Published()

    async def run(self) -> Published:
        """Run until the end of the input, an interruption, or a long outage of Kafka; returns the result.

        Raises InvalidInput, before anything is published, if the input is not one event a line.
        """
        started = time.monotonic()
        published = self._published
        try:
            await self._publish()
            await self._publisher.settle()
        except SinkUnavailable as error:
            published.fault(f"line {self._lines.number}", f"stopped here: {error}")
        except asyncio.CancelledError:
            published.interrupted = True
            await self._last_words()
        published.seconds = time.monotonic() - started
        published.acknowledged = self._publisher.acknowledged
        published.failed = published.read - published.acknowledged
        if self._publisher.first_error:
            published.fault("kafka", self._publisher.first_error)
        return published

    async def _publish(self) -> None:
        now = flushed_at = reported_at = time.monotonic()
        waiting = False
        while (chunk := await self._reader.next(_LINGER_SECONDS if waiting else _IDLE_SECONDS)) != b"":
            if chunk:
                await self._add(self._events.checked(self._lines.feed(chunk)))
                waiting = True
            now = time.monotonic()
            if not chunk or now - flushed_at > _LONGEST_LINGER_SECONDS:
                await self._publisher.flush()
                self._publisher.check()
                waiting, flushed_at = False, now
            if now - reported_at > _REPORT_SECONDS:
                self._count()
                self._progress(self._published)
                reported_at = now
            # A file is always readable, so this loop must yield to the task that sends.
            await asyncio.sleep(0)
        await self._add(self._events.checked(self._lines.end()))
        await self._add(self._events.end())

    async def _add(self, lines: Iterable[Line]) -> None:
        published, add = self._published, self._publisher.add
        for number, value in lines:
            if value is not None and (not value or value.isspace()):
                published.blank += 1
                continue
            published.read += 1
            key = None if value is None else key_of(value)
            if fault := _fault(value, key):
                self._refused += 1
                published.fault(f"line {number}", fault)
            else:
                await add((key or guessed_key(value)) if self._keyed else None, value)

    async def _last_words(self) -> None:
        """Wait a short time for the acknowledgement of records in flight."""
        try:
            await asyncio.wait_for(self._publisher.settle(), _LAST_WORDS_SECONDS)
        except (TimeoutError, SinkUnavailable):
            return

    def _count(self) -> None:
        self._published.acknowledged = self._publisher.acknowledged
        self._published.failed = self._publisher.failed + self._refused
