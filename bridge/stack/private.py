"""Closes the stack's files to every other account of the machine."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from schemas.errors import EnvironmentUnfit

_OWNER_ONLY = 0o700
_GROUP_PASSES = 0o710


def close_directory(path: Path, *, group: int | None = None) -> None:
    """Lets only the owner into the directory; members of `group` (a gid) may pass through it and not list it."""
    if group is not None:
        os.chown(path, -1, group)
    path.chmod(_OWNER_ONLY if group is None else _GROUP_PASSES)


def close_tree(path: Path) -> None:
    """Closes the directory and all that an earlier release left readable below it.

    The top is closed last: a mode that is right says that everything below is right as well.
    """
    if stat.S_IMODE(path.stat().st_mode) == _OWNER_ONLY:
        return
    for found in path.rglob("*"):
        if not found.is_symlink():
            found.chmod(_OWNER_ONLY if found.is_dir() else 0o600)
    path.chmod(_OWNER_ONLY)


def close_if_own(path: Path, names: Iterable[str], *, group: int | None = None) -> None:
    """Closes the directory if it is this account's and holds nothing but `names`.

    A directory that also holds somebody's other files, or that many accounts share, keeps its mode.
    """
    found = path.stat()
    shared = found.st_uid != os.geteuid() or found.st_mode & stat.S_ISVTX
    if not shared and {entry.name for entry in path.iterdir()} <= set(names):
        close_directory(path, group=group)


def refuse_strangers(paths: Iterable[Path]) -> None:
    """Raises EnvironmentUnfit for a path of another account, which could lead what is written there elsewhere; root may."""
    for path in paths:
        try:
            owner = path.lstat().st_uid
        except FileNotFoundError:
            continue
        if owner not in (os.geteuid(), 0):
            raise EnvironmentUnfit(
                f"{path} belongs to user id {owner}, who could lead the stack's files elsewhere: "
                "start the stack as that user, or choose another directory"
            )


def write_private(path: Path, text: str) -> None:
    """Writes a new file that only this account can read; a file or link in its place is removed first."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
