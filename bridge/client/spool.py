"""A queue on disk (the spool) that outlives its process. It consists of segments, a mark and a lock.

Segments are files to which events are appended, one a line: `<crc32> <event_id as JSON> <event>`. The checksum detects
an incomplete line; other lines stay readable. The mark is a file with the position up to which events are delivered.
"""

import asyncio
import errno
import fcntl
import json
import logging
import os
import time
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from bridge.client.errors import BufferFull, Undelivered
from bridge.client.event import Event
from bridge.client.queue import Batch
from bridge.output.private_files import make_private_directory, open_private
from schemas.errors import BridgeError, InvalidInput, PreconditionFailed

SEGMENT_BYTES: Final = 8 * 1024 * 1024
_CHUNK_BYTES: Final = 1024 * 1024
_REMEMBERED: Final = 1000
_SUFFIX: Final = ".events"

log = logging.getLogger(__name__)


def line_of(event: Event) -> bytes:
    """Return the event as a line of the spool's files."""
    rest = json.dumps(event.event_id).encode() + b" " + event.body
    return b"%08x %b\n" % (zlib.crc32(rest), rest)


def event_of(line: bytes) -> Event | None:
    """Return the event in one line of the spool (the queue on disk); None if the line is damaged."""
    checksum, _, rest = line.removesuffix(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(rest):
        return None
    text = rest.decode()
    event_id, end = json.JSONDecoder().raw_decode(text)
    return Event(event_id, text[end + 1 :].encode())


class SpoolQueue:
    """A queue on disk: keeps events under `directory` until they are delivered, in at most `size` bytes.

    Raises InvalidInput if another client uses the directory, and PreconditionFailed if it can't be written.

    - Events that the gateway refuses permanently are written to the file `refused.jsonl` in the directory.
    - After a crash, the last batches are delivered again with the same ids.
    - Writes to files block the event loop for the time of a write to the page cache. Forcing to disk runs in a thread.
    - Only the account that writes the files can read them. Links are not followed.
    """

    def __init__(self, directory: Path, size: int) -> None:
        self._directory = directory
        self._most_bytes = size
        self._segment_bytes = min(SEGMENT_BYTES, size // 4)
        self._undelivered: deque[Undelivered] = deque(maxlen=_REMEMBERED)
        self._out: list[tuple[Batch, int, int]] = []
        self._done: set[int] = set()
        self._syncing = asyncio.Lock()
        self._synced = 0
        self._refused = directory / "refused.jsonl"
        with self._told("written"):
            make_private_directory(directory)
            self._lock = open_private(directory / "lock", "wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise InvalidInput(
                f"the spool {directory} is in use by another client; give each client a directory of its own"
            ) from error
        self._segments = sorted(int(path.stem) for path in directory.glob(f"*{_SUFFIX}") if path.stem.isdecimal())
        self._position = self._marked()
        self._writing: IO[bytes] | None = None
        self._reading: IO[bytes] | None = None
        self._bytes = sum(map(_size, [self._refused, *map(self._path, self._segments)]))
        self.taken = 0
        try:
            with self._told("read"):
                self.appended = self._left()
        except PreconditionFailed:
            self._lock.close()
            raise

    def append(self, event: Event) -> None:
        """Write one event; raises BufferFull if the spool has reached its limit or the disk is full."""
        line = line_of(event)
        if self._bytes + len(line) > self._most_bytes:
            raise BufferFull(f"the spool {self._directory} has reached its limit ({self._bytes} bytes in use)")
        with self._told("appended to", BufferFull):
            try:
                self._write(line)
            except OSError:
                # Delivered events may fill the disk, and their removal may free enough space.
                if not self._cleared():
                    raise
                self._write(line)
        self._bytes += len(line)
        self.appended += 1

    def take(self, most: int, size: int) -> Batch:
        """Return the next events.

        Damaged lines are skipped and reported, except an incomplete last line after a crash.
        """
        batch = Batch([], self.taken)
        with self._told("read"):
            while len(batch) < most and self.taken + len(batch) < self.appended:
                before = self._position
                line = self._read()
                if line is None:
                    self.taken = self.appended - len(batch)
                    break
                event = event_of(line)
                if event is None:
                    self._pass_over(line)
                    continue
                size -= len(event.body)
                if batch and size < 0:
                    self._position = before
                    break
                batch.append(event)
        self.taken += len(batch)
        self._out.append((batch, *self._position))
        return batch

    def settle(self, batch: Batch, undelivered: Sequence[Undelivered]) -> None:
        self._refuse(undelivered)
        self._done.add(id(batch))
        moved = None
        while self._out and id(self._out[0][0]) in self._done:
            settled, *place = self._out.pop(0)
            self._done.discard(id(settled))
            moved = place
        if moved:
            self._mark(*moved)

    def abandon(self, batches: Sequence[Batch], reason: str) -> int:  # noqa: ARG002 - given by the next client
        return self.appended - self.taken + sum(map(len, batches))

    def hand_over(self) -> list[Undelivered]:
        handed = list(self._undelivered)
        self._undelivered.clear()
        return handed

    async def sync(self, number: int) -> None:
        """Force the first `number` events to disk. Concurrent callers share one write. Raises PreconditionFailed."""
        async with self._syncing:
            if self._synced >= number or self._writing is None:
                return
            written = self.appended
            with self._told("forced to disk"):
                # The descriptor is a separate one, because the segment may be closed meanwhile.
                await asyncio.to_thread(_force, os.dup(self._writing.fileno()))
            self._synced = written

    def close(self) -> None:
        """Close the files. If all events are delivered, delete all files but the one with refused events."""
        try:
            self._cleared()
        except OSError as error:
            log.warning("the spool %s: can't remove delivered events: %s", self._directory, error.strerror)
        _close(self._writing, self._reading, self._lock)

    @contextmanager
    def _told(self, to_do: str, kind: type[BridgeError] = PreconditionFailed) -> Iterator[None]:
        """Replace an error of the operating system by an error that says that the spool can't be `to_do`."""
        try:
            yield
        except OSError as error:
            raise kind(f"the spool {self._directory} can't be {to_do}: {error.strerror}") from error

    def _cleared(self) -> bool:
        """Remove the segments (files of events) if all events are delivered; returns whether it removed any."""
        if self.taken != self.appended or self._out:
            return False
        count = len(self._segments)
        _close(self._writing, self._reading)
        self._writing = self._reading = None
        # The mark is removed last. Without the mark, a remaining segment would be delivered again.
        while self._segments:
            self._path(self._segments[0]).unlink(missing_ok=True)
            self._segments.pop(0)
        (self._directory / "mark").unlink(missing_ok=True)
        self._bytes = _size(self._refused)
        return count > 0

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:012d}{_SUFFIX}"

    def _write(self, line: bytes) -> None:
        file = self._writing
        if file is None or file.tell() >= self._segment_bytes:
            file = self._next_segment()
        before = file.tell()
        try:
            if file.write(line) != len(line):
                raise OSError(errno.ENOSPC, "a write was incomplete because the disk is full")
        except OSError:
            os.ftruncate(file.fileno(), before)
            file.seek(before)
            raise

    def _next_segment(self) -> IO[bytes]:
        # A segment of an earlier process may end with an incomplete line, so nothing is appended to it.
        number = max([self._position[0], *self._segments]) + 1
        before = self._writing
        if before is not None:
            os.fsync(before.fileno())
        self._writing = opened = open_private(self._path(number), "xb", buffering=0)
        self._segments.append(number)
        _close(before)
        _force(os.open(self._directory, os.O_RDONLY))
        return opened

    def _read(self) -> bytes | None:
        """Return the next line of the segments (files of events), and move the reading position; None at the end."""
        while self._segments:
            segment, offset = self._position
            if segment in self._segments:
                if self._reading is None or self._reading.name != str(self._path(segment)):
                    _close(self._reading)
                    self._reading = open_private(self._path(segment), "rb")
                self._reading.seek(offset)
                if line := self._reading.readline():
                    self._position = (segment, offset + len(line))
                    return line
            later = [number for number in self._segments if number > segment]
            if not later:
                return None
            self._position = (later[0], 0)
        return None

    def _pass_over(self, line: bytes) -> None:
        self.taken += 1
        if not line.endswith(b"\n"):
            log.warning(
                "the spool %s: skipped an incomplete line at the end of a segment, whose `send` never returned",
                self._directory,
            )
            return
        text = line.decode(errors="replace").rstrip("\n")
        self._refuse([Undelivered("", line, "spool_damaged", f"a line of the spool is damaged: {text[:200]}")])

    def _refuse(self, undelivered: Sequence[Undelivered]) -> None:
        self._undelivered += undelivered
        lines = "".join(
            json.dumps({**one._asdict(), "body": one.body.decode(errors="replace"), "at": int(time.time())}) + "\n"
            for one in undelivered
        )
        if lines:
            try:
                with open_private(self._refused, "a", encoding="utf-8") as file:
                    file.write(lines)
                self._bytes += len(lines)
            except OSError as error:
                log.error(
                    "the spool %s: refused events can't be written to refused.jsonl: %s",
                    self._directory,
                    error.strerror,
                )

    def _marked(self) -> tuple[int, int]:
        """Return the position (segment and offset) up to which events are delivered, as read from the mark file.

        If this file can't be read, return the beginning: events that are sent a second time count once.
        """
        try:
            with open_private(self._directory / "mark", "r") as file:
                segment, offset = map(int, file.read().split())
        except (OSError, ValueError):
            return 0, 0
        return (segment, offset) if min(segment, offset) >= 0 else (0, 0)

    def _mark(self, segment: int, offset: int) -> None:
        new = self._directory / "mark.new"
        try:
            # On a full disk, the mark may need the space of delivered segments. A mark in a removed segment stands for
            # the beginning of the next segment.
            while self._segments and self._segments[0] < segment:
                path = self._path(self._segments[0])
                self._bytes -= path.stat().st_size
                path.unlink()
                self._segments.pop(0)
            with open_private(new, "w") as file:
                file.write(f"{segment} {offset}\n")
            new.replace(self._directory / "mark")
        except OSError as error:
            # Events after the mark are delivered again, with the same ids.
            log.warning("the spool %s: can't mark delivered events: %s", self._directory, error.strerror)

    def _left(self) -> int:
        """Return the number of events after the mark (the position up to which events are delivered)."""
        marked, offset = self._position
        lines = 0
        for number in self._segments:
            if number >= marked:
                with open_private(self._path(number), "rb") as file:
                    file.seek(offset if number == marked else 0)
                    last = b"\n"
                    while chunk := file.read(_CHUNK_BYTES):
                        lines += chunk.count(b"\n")
                        last = chunk[-1:]
                lines += last != b"\n"
        return lines


def _force(descriptor: int) -> None:
    """Force a file or directory to disk, and close the descriptor."""
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _close(*files: IO[bytes] | None) -> None:
    for file in files:
        if file is not None:
            file.close()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
