"""The operating system's account for Postgres, and the paths that this account can reach."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import PreconditionFailed

_UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """The account of a server; `uid` None means the account of this process."""

    uid: int | None
    gid: int | None

    def run(self, argv: list[str], *, cwd: Path, timeout: float, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a short command as this account, with `given` on its standard input; `timeout` is in seconds."""
        return subprocess.run(  # noqa: S603 - a command of this program, no shell
            argv,
            input=given,
            capture_output=True,
            text=True,
            cwd=cwd,
            timeout=timeout,
            check=False,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
            start_new_session=True,
        )

    def reaches(self, path: Path) -> bool:
        """Return whether this account may enter the directory.

        A command that runs as the account tries it, because the system checks more than the directory's mode.
        """
        if self.uid is None:
            return os.access(path, os.X_OK)
        return self.run(["test", "-x", str(path)], cwd=Path("/"), timeout=30).returncode == 0

    def own(self, path: Path) -> None:
        """Make this account the owner of the path."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def postgres_account(data: Path) -> Account:
    """Return the account for Postgres: this process's, or an unprivileged one for root, which Postgres refuses."""
    owner = data.stat().st_uid if data.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner != os.geteuid():
            raise PreconditionFailed(f"{data} belongs to user id {owner}; start the stack as that user")
        return Account(uid=None, gid=None)
    if owner:
        return Account(uid=owner, gid=data.stat().st_gid)
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    raise PreconditionFailed(
        f"Postgres refuses to run as root and there is no account {' or '.join(_UNPRIVILEGED)}; "
        "create this account, or start the stack as another user than root"
    )
