"""Closes the stack's files to every other account of the machine."""

import os
import shutil
import stat
from collections.abc import Collection, Iterable
from pathlib import Path

from schemas.errors import EnvironmentUnfit

_OWNER_ONLY = 0o700
_GROUP_PASSES = 0o710
_EVERYBODY = stat.S_IWOTH | stat.S_ISVTX


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


def refuse_strangers(directory: Path, names: Collection[str]) -> None:
    """Raises EnvironmentUnfit where another account could lead the stack's files elsewhere.

    None of the `names` in it, and no directory above them, may be a stranger's (`refuse_stranger`), and no such directory
    may let every account replace what is in it. It is looked at on both ways: as written, and as links lead.
    """
    real = Path(os.path.realpath(directory))
    entries = [above / name for above in (directory, real) for name in names]
    entries += [Path(os.path.realpath(entry)) for entry in entries]
    passed = dict.fromkeys(path for entry in entries for path in reversed(entry.parents))
    try:
        for path in dict.fromkeys((*passed, *entries)):
            try:
                found = path.lstat()
            except (FileNotFoundError, NotADirectoryError):
                continue
            refuse_stranger(path, found)
            if path in passed and stat.S_ISDIR(found.st_mode) and found.st_mode & _EVERYBODY == stat.S_IWOTH:
                raise EnvironmentUnfit(
                    f"{path} can be changed by every account, which could lead the stack's files elsewhere: "
                    "take that right from them (chmod o-w), or choose another directory"
                )
    except PermissionError as error:
        raise EnvironmentUnfit(f"{directory} is closed to this account: use the one that started the stack") from error
    except OSError as error:
        raise EnvironmentUnfit(f"can't use {directory} for the stack: {error.strerror or error}") from error


def refuse_stranger(path: Path, found: os.stat_result) -> None:
    """Raises EnvironmentUnfit if what was found at the path is neither this account's nor root's.

    Where root is not mapped into a user namespace, the owner of `/` stands for it.
    """
    if found.st_uid not in (os.geteuid(), 0, Path("/").stat().st_uid):
        raise EnvironmentUnfit(
            f"{path} belongs to user id {found.st_uid}, who could lead the stack's files elsewhere: "
            "start the stack as that user, or choose another directory"
        )


def make_directory(path: Path) -> None:
    """Makes the directory and those above it that are missing, none of them open to others' changes under any umask."""
    if not path.is_dir():
        make_directory(path.parent)
        path.mkdir(0o755, exist_ok=True)  # another start may have made it meanwhile
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o022)


def remove(path: Path, *, ignore_errors: bool = False) -> None:
    """Deletes a directory with all that is in it; a link goes, and what it leads to stays."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path, ignore_errors=ignore_errors)


def write_private(path: Path, text: str) -> None:
    """Writes a new file that only this account can read; a file or link in its place is removed first."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
