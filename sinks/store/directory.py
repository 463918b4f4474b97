"""A store in a directory. An object gets its name once it is complete and on the disk."""

import asyncio
import errno
import os
import shutil
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from schemas.errors import NoSuchThing, StoreFailed
from sinks.store.port import StoredObject, checked_name

_PIECE: Final = 1 << 20
_UNFINISHED: Final = ".unfinished"
_LEFT_SECONDS: Final = 86_400
"""A file without its final name that was not written for this long belongs to a process that was killed."""
_MOST_TRIES: Final = 100
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class DirectoryStore:
    """A store in the directory `root`, which is created when the first object is written.

    Files have mode 0600, and directories that the store creates have mode 0700. Links are not followed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def address(self) -> str:
        return f"file://{self._root}"

    async def put(self, name: str, pieces: AsyncIterator[bytes]) -> int:
        path = self._root / checked_name(name)
        with self._errors(f"write {name}"):
            descriptor, unfinished = await asyncio.to_thread(self._begin, path)
        try:
            written = 0
            async for piece in pieces:
                with self._errors(f"write {name}"):
                    await asyncio.to_thread(_write, descriptor, piece)
                written += len(piece)
            with self._errors(f"write {name}"):
                await asyncio.to_thread(_end, descriptor, unfinished, path)
            return written
        finally:
            os.close(descriptor)
            unfinished.unlink(missing_ok=True)

    async def get(self, name: str) -> AsyncIterator[bytes]:
        path = self._root / checked_name(name)
        try:
            with self._errors(f"read {name}"):
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NoSuchThing(f"{self.address}: there is no {name}") from None
        try:
            while True:
                with self._errors(f"read {name}"):
                    piece = await asyncio.to_thread(os.read, descriptor, _PIECE)
                if not piece:
                    return
                yield piece
        finally:
            os.close(descriptor)

    async def objects(self, prefix: str) -> list[StoredObject]:
        with self._errors(f"list {prefix}"):
            return await asyncio.to_thread(self._list, checked_name(prefix))

    async def head(self, name: str) -> StoredObject | None:
        path = self._root / checked_name(name)
        with self._errors(f"read {name}"):
            return self._described(path)

    async def delete(self, name: str) -> None:
        path = self._root / checked_name(name)
        with self._errors(f"remove {name}"):
            path.unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                _sync_directory(path.parent)
            if path.parent != self._root:
                # A directory with other objects is kept.
                with suppress(OSError):
                    path.parent.rmdir()

    def _begin(self, path: Path) -> tuple[int, Path]:
        self._remove_left()
        tries = 0
        while True:
            try:
                _make_directory(path.parent)
                descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=_UNFINISHED)
            except FileNotFoundError:
                # Another process has removed the directory with its last object.
                tries += 1
                if tries == _MOST_TRIES:
                    raise
            else:
                return descriptor, Path(name)

    def _remove_left(self) -> None:
        # Other processes rename and remove such files too; what is missed is removed next time.
        with suppress(FileNotFoundError):
            for path in self._root.rglob(f".*{_UNFINISHED}"):
                if time.time() - path.lstat().st_mtime > _LEFT_SECONDS:
                    path.unlink(missing_ok=True)

    def _list(self, prefix: str) -> list[StoredObject]:
        directory = self._root / prefix
        found = (
            Path(place) / name for place, _, names in os.walk(directory) for name in names if not name.startswith(".")
        )
        return sorted(one for path in found if (one := self._described(path)) is not None)

    def _described(self, path: Path) -> StoredObject | None:
        """Return the file as an object; None if there is none, also if another process has removed it just now."""
        try:
            found = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        return StoredObject(
            path.relative_to(self._root).as_posix(), found.st_size, datetime.fromtimestamp(found.st_mtime, UTC)
        )

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno in _FULL:
                free = shutil.disk_usage(self._root).free
                raise StoreFailed(
                    f"{self.address}: can't {what}: {error.strerror}, {free} bytes are free; free space or choose another "
                    "BRIDGE_STORE_URL"
                ) from error
            raise StoreFailed(
                f"{self.address}: can't {what}: {error.strerror or error}; correct the directory or BRIDGE_STORE_URL"
            ) from error


def _write(descriptor: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(descriptor, left) :]


def _end(descriptor: int, unfinished: Path, path: Path) -> None:
    os.fsync(descriptor)
    unfinished.replace(path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """Write a directory's names to the disk, so that they exist after a power failure."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_directory(path: Path) -> None:
    """Create the directory and its missing parents with mode 0700, whatever the umask."""
    if path.is_dir():
        return
    _make_directory(path.parent)
    try:
        path.mkdir(0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        path.chmod(0o700)
        _sync_directory(path.parent)
