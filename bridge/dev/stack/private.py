"""Protects the stack's files from all other accounts of the machine."""

import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import PreconditionFailed

_OWNER_ONLY = 0o700
_GROUP_PASSES = 0o710
_EVERYBODY = stat.S_IWOTH | stat.S_ISVTX


def close_directory(path: Path, *, group: int | None = None) -> None:
    """Restrict the directory to its owner.

    Members of the group with the gid `group` may pass through it, but not list it.
    """
    if group is not None:
        os.chown(path, -1, group)
    path.chmod(_OWNER_ONLY if group is None else _GROUP_PASSES)


def close_tree(path: Path) -> None:
    """Restrict the directory and everything in it to its owner; an earlier release left them readable.

    The directory itself is restricted last. So if its mode is right, everything in it is restricted already.
    """
    if stat.S_IMODE(path.stat().st_mode) == _OWNER_ONLY:
        return
    for found in path.rglob("*"):
        if not found.is_symlink():
            found.chmod(_OWNER_ONLY if found.is_dir() else 0o600)
    path.chmod(_OWNER_ONLY)


def close_if_own(path: Path, names: Iterable[str], *, group: int | None = None) -> None:
    """Restrict the directory if it belongs to this account and only contains entries of `names`.

    A directory with other files, or one that many accounts share, keeps its mode.
    """
    found = path.stat()
    shared = found.st_uid != os.geteuid() or found.st_mode & stat.S_ISVTX
    if not shared and {entry.name for entry in path.iterdir()} <= set(names):
        close_directory(path, group=group)


@contextmanager
def accessible(path: Path) -> Iterator[None]:
    """Raise PreconditionFailed if the block lacks a permission, which this account then lacks on `path`."""
    try:
        yield
    except PermissionError as error:
        raise PreconditionFailed(
            f"{path} is not accessible to this account; use the account that started the stack"
        ) from error


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Raise PreconditionFailed for a file system's error in the block, in one line."""
    try:
        yield
    except OSError as error:
        raise PreconditionFailed(f"can't use {path} for the stack: {error.strerror or error}") from error


def refuse_strangers(directory: Path, names: Collection[str]) -> None:
    """Raise PreconditionFailed if another account could redirect the stack's files.

    - No entry of `names` in the directory, and no directory above, may belong to another account (see
      `refuse_stranger`).
    - Neither the directory nor a directory above may let every account replace its entries.

    The path is checked as it is written, and with its links resolved.
    """
    real = Path(os.path.realpath(directory))
    entries = [above / name for above in (directory, real) for name in names]
    entries += [Path(os.path.realpath(entry)) for entry in entries]
    passed = dict.fromkeys(path for entry in entries for path in reversed(entry.parents))
    with usable(directory), accessible(directory):
        for path in dict.fromkeys((*passed, *entries)):
            try:
                found = path.lstat()
            except (FileNotFoundError, NotADirectoryError):
                continue
            refuse_stranger(path, found)
            if path in passed and stat.S_ISDIR(found.st_mode) and found.st_mode & _EVERYBODY == stat.S_IWOTH:
                raise PreconditionFailed(
                    f"{path} can be changed by every account, which could redirect the stack's files; "
                    "remove this permission (chmod o-w), or choose another directory"
                )


def refuse_stranger(path: Path, found: os.stat_result) -> None:
    """Raise PreconditionFailed unless the owner of the path is this account or root.

    In a user namespace without root, the owner of `/` counts as root.
    """
    if found.st_uid not in (os.geteuid(), 0, Path("/").stat().st_uid):
        raise PreconditionFailed(
            f"{path} belongs to user id {found.st_uid}, who could redirect the stack's files; "
            "start the stack as that user, or choose another directory"
        )


def make_directory(path: Path) -> None:
    """Create the directory and its missing parents. Under any umask, other accounts can't write to them."""
    if not path.is_dir():
        make_directory(path.parent)
        path.mkdir(0o755, exist_ok=True)  # another start may have created it meanwhile
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o022)


def remove(path: Path, *, ignore_errors: bool = False) -> None:
    """Delete a directory with its content. If the path is a link, only the link is deleted."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path, ignore_errors=ignore_errors)


def write_private(path: Path, text: str) -> None:
    """Write a new file that only this account can read. An existing file or link of the same name is removed first."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
