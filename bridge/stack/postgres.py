"""One Postgres server on the loopback address, as safe against power loss as in production."""

import asyncio
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bridge.stack.accounts import Account, postgres_account
from bridge.stack.binaries import find_programs
from bridge.stack.leftovers import forget_dead_postmaster
from bridge.stack.ports import LOOPBACK
from bridge.stack.process import Launch, pick_decisive
from schemas.errors import EnvironmentUnfit

# The "fast" stop: sessions are cut, everything is written.
STOP_SIGNAL = int(signal.SIGINT)
DATABASE = "ghostlink"
SUPERUSER = "postgres"
_INITDB_SECONDS = 120
_SHARED_PLACE = Path("/var/tmp")  # noqa: S108 - only for directories with a random name of their own

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


@dataclass(frozen=True)
class PostgresServer:
    """A Postgres whose files are under `directory`/postgres, or where that link leads."""

    directory: Path
    log: Path
    port: int

    @property
    def url(self) -> str:
        """The connection URL of the project's database."""
        return self._url(DATABASE)

    def _url(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self, progress: Callable[[str], None]) -> Launch:
        """Makes the data directory if it is new, and says what to launch."""
        link = self.directory / "postgres"
        account = postgres_account(link / "data")
        home = _home(link, account)
        data = home / "data"
        version = data / "PG_VERSION"
        data_major = int(version.read_text(encoding="ascii")) if version.exists() else None
        programs = find_programs(account, home=home, data_major=data_major)
        if data_major is None:
            progress(f"creating a Postgres {programs.major} cluster")
            _initialise(programs.directory / "initdb", data, account)
        else:
            forget_dead_postmaster(data)
        settings = {**_SETTINGS, "port": str(self.port)}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Launch(
            argv=[str(programs.directory / "postgres"), "-D", str(data), *words],
            cwd=data,
            log=self.log,
            stop_signal=STOP_SIGNAL,
            uid=account.uid,
            gid=account.gid,
        )

    def ready(self) -> bool:
        """True once the server takes connections."""
        return asyncio.run(_answers(self._url("postgres")))

    def ensure_database(self) -> None:
        """Creates the project's database if it is missing."""
        try:
            asyncio.run(_ensure_database(self._url("postgres"), DATABASE))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise EnvironmentUnfit(f"can't create the database {DATABASE}: {error} (log: {self.log})") from error


def remove_files(directory: Path) -> None:
    """Deletes the server's files, also where they had to be kept elsewhere."""
    link = directory / "postgres"
    if link.is_symlink():
        shutil.rmtree(link.resolve(), ignore_errors=True)
        link.unlink()
    elif link.exists():
        shutil.rmtree(link)


def _home(link: Path, account: Account) -> Path:
    if link.is_symlink() and not link.exists():
        link.unlink()
    if not link.exists():
        if account.reaches(link.parent):
            link.mkdir(mode=0o755)
        else:
            # Root's home and pytest's temporary directories are closed to the account that Postgres must run as.
            place = Path(tempfile.mkdtemp(prefix="ghostlink-postgres-", dir=_SHARED_PLACE))
            place.chmod(0o755)
            link.symlink_to(place)
    home = link.resolve()
    if not account.reaches(home):
        raise EnvironmentUnfit(
            f"Postgres must run as user id {account.uid}, which can't pass into {home}: "
            "choose another directory for the stack, or start it as a plain user"
        )
    return home


def _initialise(initdb: Path, data: Path, account: Account) -> None:
    # A cluster whose making was cut off has no PG_VERSION yet, or one that initdb refuses to write over.
    shutil.rmtree(data, ignore_errors=True)
    fresh = data.with_name("data.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    account.own(fresh)
    argv = [str(initdb), "-D", str(fresh), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--no-locale"]
    try:
        done = account.run(argv, cwd=fresh, timeout=_INITDB_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentUnfit(f"can't run {initdb}: {error}") from error
    if done.returncode != 0:
        told = pick_decisive((done.stdout + done.stderr).splitlines())
        raise EnvironmentUnfit(f"can't create a Postgres cluster in {data}: {told}")
    fresh.rename(data)


async def _answers(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, timeout=5, ssl=False)
    # Refused, reset, too slow, or still starting up: not ready in each case.
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    await connection.close()
    return True


async def _ensure_database(url: str, name: str) -> None:
    connection = await asyncpg.connect(url, timeout=30, ssl=False)
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
