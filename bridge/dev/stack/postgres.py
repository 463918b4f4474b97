"""One Postgres server on the loopback address, with the same durability as in production."""

import asyncio
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bridge.dev.stack.accounts import Account, postgres_account
from bridge.dev.stack.binaries import find_programs
from bridge.dev.stack.cluster import demand_passwords, initialise
from bridge.dev.stack.credentials import Credentials
from bridge.dev.stack.databases import DATABASE, PRODUCT, SUPERUSER, answers, database_url, ensure_database
from bridge.dev.stack.leftovers import forget_dead_postmaster
from bridge.dev.stack.ports import LOOPBACK
from bridge.dev.stack.private import close_directory, remove
from bridge.dev.stack.process import Launch
from schemas.errors import PreconditionFailed

# The "fast" shutdown: Postgres terminates the sessions and writes everything.
STOP_SIGNAL = int(signal.SIGINT)
_SHARED_PLACE = Path("/var/tmp")  # noqa: S108 - only for directories with random names
_PLACE_PREFIX = "ghostlink-postgres-"

# The value in the eighth line of postmaster.pid.
_STATUS_LINE = 7
_LISTENING = ("ready", "standby")

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# In pages of 8 kB. Every account can fill the notification queue, whose limit on disk is 8 GB by default.
_NOTIFY_QUEUE = {"max_notify_queue_pages": "8192"}
_NOTIFY_QUEUE_SINCE = 17


@dataclass(frozen=True)
class PostgresServer:
    """A Postgres server. Its files are under `directory`/postgres, which may be a link to another place."""

    directory: Path
    log: Path
    port: int
    credentials: Credentials

    @property
    def url(self) -> str:
        """Return the URL of the project's database for the product's role."""
        return database_url(self.port, PRODUCT, self.credentials.product)

    @property
    def admin_url(self) -> str:
        """Return the URL of the project's database for the superuser."""
        return database_url(self.port, SUPERUSER, self.credentials.admin)

    def prepare(self, progress: Callable[[str], None]) -> Launch:
        """Create a new data directory, or require passwords in an old one; returns how to launch the server."""
        link = self.directory / "postgres"
        account = postgres_account(link / "data")
        home = _home(link, account)
        data = home / "data"
        version = data / "PG_VERSION"
        data_major = int(version.read_text(encoding="ascii")) if version.exists() else None
        programs = find_programs(account, home=home, data_major=data_major)
        if data_major is None:
            progress(f"creating a Postgres {programs.major} cluster")
            initialise(programs.directory / "initdb", data, account, self.credentials)
        else:
            forget_dead_postmaster(data)
            if not self.credentials.applied:
                progress("giving Postgres passwords")
                demand_passwords(programs.directory / "postgres", data, account, self.credentials)
        settings = {**_SETTINGS, "port": str(self.port)}
        if programs.major >= _NOTIFY_QUEUE_SINCE:
            settings |= _NOTIFY_QUEUE
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Launch(
            argv=[str(programs.directory / "postgres"), "-D", str(data), *words],
            cwd=data,
            log=self.log,
            stop_signal=STOP_SIGNAL,
            uid=account.uid,
            gid=account.gid,
        )

    def ready(self, pid: int) -> bool:
        """Return whether the server with this pid accepts connections.

        Raises PreconditionFailed if the server refuses the superuser. Nothing is sent to the port before this server
        listens on it, because another account of the machine may use the port.
        """
        try:
            return _listens(self.directory / "postgres" / "data", pid) and asyncio.run(
                answers(self.port, self.credentials)
            )
        except asyncpg.InvalidAuthorizationSpecificationError as error:
            raise PreconditionFailed(
                f"Postgres on port {self.port} refuses the superuser's password in stack.json ({error}): "
                "stop the stack and delete this file; the next start sets new passwords"
            ) from error

    def ensure_database(self) -> None:
        """Create the product's database and role if missing, and make the role the owner of the superuser's objects."""
        try:
            asyncio.run(ensure_database(self.port, self.credentials))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise PreconditionFailed(f"can't prepare the database {DATABASE}: {error} (log: {self.log})") from error


def remove_files(directory: Path) -> None:
    """Delete the Postgres server's files of the stack in `directory`, even if a link there points to another place."""
    link = directory / "postgres"
    if link.is_symlink():
        place = link.readlink()
        if place.parent == _SHARED_PLACE and place.name.startswith(_PLACE_PREFIX):
            remove(place, ignore_errors=True)
    remove(link)


def _listens(data: Path, pid: int) -> bool:
    """Return whether Postgres has recorded, in its private directory, that it listens on its address."""
    try:
        noted = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return False
    return noted[:1] == [str(pid)] and noted[_STATUS_LINE:] != [] and noted[_STATUS_LINE].strip() in _LISTENING


def _home(link: Path, account: Account) -> Path:
    if link.is_symlink() and not link.exists():
        link.unlink()
    if not link.exists():
        if account.reaches(link.parent):
            link.mkdir(mode=0o700)
        else:
            # The account of Postgres can't reach root's home or pytest's temporary directories.
            place = Path(tempfile.mkdtemp(prefix=_PLACE_PREFIX, dir=_SHARED_PLACE))
            link.symlink_to(place)
    home = link.resolve()
    close_directory(home, group=account.gid)
    if not account.reaches(home):
        raise PreconditionFailed(
            f"Postgres must run as user id {account.uid}, which can't pass into {home}: "
            "choose another directory for the stack, or start it as a plain user"
        )
    return home
