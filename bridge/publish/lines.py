"""Lines of a file or of standard input. A thread reads them, so that slow input does not block the event loop."""

import asyncio
import os
import shlex
import threading
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from bridge.publish.forms import beginning_of, form_of, is_json, several_in
from schemas.errors import InvalidInput
from schemas.kafka.topics import MIB

MAX_LINE_BYTES: Final = MIB - 16 * 1024
"""The size limit of the raw topic's records, minus room for the key and the record's overhead."""

_CHUNK_BYTES = 256 * 1024
_CHUNKS_AHEAD = 4


class Line(NamedTuple):
    """A line without newline and byte order mark, with its number from 1; `value` is None if the line is too long."""

    number: int
    value: bytes | None


class LineSplitter:
    """Splits chunks into lines. It keeps at most one incomplete line, up to the size limit, in memory."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._rest = b""
        self._overlong = False
        self.number = 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """Yield the lines that this chunk completes."""
        *complete, rest = (self._rest + chunk).split(b"\n")
        for text in complete:
            yield self._line(text)
        self._rest = rest
        if len(rest) > self._limit:
            self._overlong = True
            self._rest = b""

    def end(self) -> Iterator[Line]:
        """Yield the last line, if no newline ends it."""
        if self._rest or self._overlong:
            yield self._line(self._rest)
            self._rest = b""

    def _line(self, text: bytes) -> Line:
        self.number += 1
        overlong = self._overlong or len(text) > self._limit
        self._overlong = False
        return Line(self.number, None if overlong else text.removeprefix(BOM_UTF8))


class LinesOfEvents:
    """The lines of an input, passed on only if the first lines show that the input has one event in each line."""

    def __init__(self, path: str) -> None:
        """Set the file's path, for messages; empty is standard input."""
        self._name = path or "standard input"
        self._path = path
        self._known = False
        self._held: Line | None = None

    def checked(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Yield the lines; raises InvalidInput, before it yields a line, unless the input has one event in each line.

        The first line decides; if it is not JSON, the second line decides.
        """
        for line in lines:
            if not self._known and line.value is not None and not line.value.isspace() and line.value:
                if not self._shown_by(line, line.value):
                    continue
                yield from self.end()
            yield line

    def end(self) -> Iterator[Line]:
        """Yield the first line if it still waits for the check of the next line."""
        if self._held:
            yield self._held
        self._held, self._known = None, True

    def _shown_by(self, line: Line, value: bytes) -> bool:
        if self._held:
            if not value.lstrip().startswith(b"{"):
                raise self._refused("has JSON over several lines", "jq -c .")
            return True
        if form := form_of(value):
            raise self._refused(f"is {form.name}", form.command)
        if value.lstrip().startswith(b"["):
            raise self._refused("is a JSON array", "jq -c '.[]'")
        if not value.lstrip().startswith(b"{"):
            raise InvalidInput(
                f"{self._name} does not have one event (a JSON object) a line: line {line.number}: {beginning_of(value)}"
            )
        if several := several_in(value):
            raise InvalidInput(f"{self._name}: line {line.number} is {several}; write each event in a line of its own")
        if is_json(value):
            return True
        self._held = line
        return False

    def _refused(self, what: str, command: str) -> InvalidInput:
        remedy = (
            f"{command} {shlex.quote(self._path)} | bridge produce -" if self._path else f"pipe it through {command}"
        )
        return InvalidInput(f"{self._name} {what}, and not one event a line in UTF-8; nothing was published: {remedy}")


class ChunkReader:
    """Reads a file descriptor in a daemon thread, a few chunks ahead of the event loop."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[bytes | OSError] = asyncio.Queue()
        self._room = threading.Semaphore(_CHUNKS_AHEAD)
        # A read from a terminal or an idle pipe can't be cancelled. A daemon thread does not delay the process's end.
        threading.Thread(target=self._read, name="lines", daemon=True).start()

    async def next(self, wait_seconds: float) -> bytes | None:
        """Return the next chunk; empty at the end, None if no chunk arrives in time.

        Raises InvalidInput on a read error.
        """
        try:
            chunk = self._chunks.get_nowait()
        except asyncio.QueueEmpty:
            try:
                chunk = await asyncio.wait_for(self._chunks.get(), wait_seconds)
            except TimeoutError:
                return None
        self._room.release()
        if isinstance(chunk, OSError):
            raise InvalidInput(f"cannot read {self._name}: {chunk.strerror or chunk}")
        return chunk

    def _read(self) -> None:
        while True:
            self._room.acquire()
            chunk: bytes | OSError
            try:
                chunk = os.read(self._descriptor, _CHUNK_BYTES)
            except OSError as error:
                chunk = error
            try:
                self._loop.call_soon_threadsafe(self._chunks.put_nowait, chunk)
            except RuntimeError:  # the loop is closed, so no task waits for the chunk
                return
            if not isinstance(chunk, bytes) or not chunk:
                return
