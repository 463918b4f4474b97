"""Files and directories that only their creator can read, also under an open umask. Symbolic links are not followed.

Only the standard library is imported, because the Python client imports this module.
"""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, TextIO

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600


def make_private_directory(path: Path) -> None:
    """Create the directory and its missing parents, each with mode 0700; raises OSError.

    An existing directory keeps its mode, because it may be shared on purpose.
    """
    if path.is_dir():
        return
    make_private_directory(path.parent)
    try:
        path.mkdir(DIRECTORY_MODE)
    except FileExistsError:
        # Another process has created the directory meanwhile.
        if not path.is_dir():
            raise
    else:
        path.chmod(DIRECTORY_MODE)


def open_private(path: Path, mode: str, **options: Any) -> IO[Any]:
    """Open a file like `open`, without following a link; raises OSError.

    - Anything but a regular file, such as a pipe, is refused without waiting.
    - A file that is opened for writing gets mode 0600.
    - A file of another account is refused, because its owner could read the content, or has written it.
    - `x` in `mode` requires a new file. `options` are those of `open`.
    """
    file = open(path, mode, opener=_without_links, **options)  # noqa: SIM115 - closed below or by the caller
    try:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        if found.st_uid != os.geteuid():
            raise OSError(
                errno.EPERM, f"{path.name} belongs to another account, which can read and write it", str(path)
            )
        if ("r" not in mode or "+" in mode) and stat.S_IMODE(found.st_mode) != FILE_MODE:
            os.fchmod(file.fileno(), FILE_MODE)
    except BaseException:
        file.close()
        raise
    return file


@contextmanager
def whole_file(path: Path, mode: int = FILE_MODE) -> Iterator[TextIO]:
    """Open a UTF-8 text file for writing; the file gets its name and mode when the `with` block ends without an error.

    After an error the file is removed. The file replaces an older file of the same name. A device or pipe is written
    directly and keeps its mode; it must belong to this account or root, and a pipe must have a reader. Raises OSError,
    also for a symbolic link.
    """
    kind = _kind(path)
    if stat.S_ISCHR(kind) or stat.S_ISFIFO(kind):
        with os.fdopen(_open_pipe(path), "w", encoding="utf-8", newline="") as stream:
            yield stream
        return
    if kind and not stat.S_ISREG(kind):
        raise OSError(
            errno.ELOOP if stat.S_ISLNK(kind) else errno.EISDIR, "it is a link, or not a regular file", str(path)
        )
    # The file is created exclusively under a new name, so it can't be another account's file or link.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".unfinished")
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            os.fchmod(descriptor, mode)
            yield stream
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _without_links(path: str, flags: int) -> int:
    # Without O_NONBLOCK, the open of a pipe would wait for a reader.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, FILE_MODE)


def _open_pipe(path: Path) -> int:
    """Open a device or pipe without waiting for a reader; refuses one of another account, which could read the data."""
    try:
        descriptor = _without_links(str(path), os.O_WRONLY | os.O_NOCTTY)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "no program reads from this pipe; start the reader first", str(path)) from error
        raise
    if os.fstat(descriptor).st_uid not in (os.geteuid(), 0):
        os.close(descriptor)
        raise OSError(errno.EPERM, "it belongs to another account, which could read the data", str(path))
    # Later writes wait for a slow reader.
    os.set_blocking(descriptor, True)
    return descriptor


def _kind(path: Path) -> int:
    """Return the type bits of the file of this name; 0 if there is no such file."""
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except FileNotFoundError:
        return 0
