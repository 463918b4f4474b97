"""Runs of pg_dump and pg_restore. Their password is in their environment, never on their command line."""

import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from schemas.config.addresses import database_address, database_options, database_places
from schemas.errors import InvalidInput, PreconditionFailed

_PIECE: Final = 1 << 20
_SMALL_PIECE: Final = 1 << 16
_MOST_SAID: Final = 2000
_NICE: Final = 10
_DEFAULT_PRIVILEGES: Final = re.compile(rb"\d+; \d+ \d+ DEFAULT ACL ")
_OWN: Final = ("PG", "BRIDGE_", "GHOSTLINK_", "AWS_")
"""Beginnings of the variables that the programs do not get: they have secrets, or another database."""
_KEPT: Final = ("PGPASSWORD", "PGPASSFILE")
_OPTIONS: Final = {
    "passfile": "PGPASSFILE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "krbsrvname": "PGKRBSRVNAME",
    "gsslib": "PGGSSLIB",
}
_IN_ADDRESS: Final = ("host", "port", "user", "password", "dbname", "database", "sslmode")


class ProgramFailed(PreconditionFailed):
    """pg_dump or pg_restore has failed. The message has the last lines that it has written."""


@dataclass(frozen=True)
class Program:
    """An executable pg_dump or pg_restore, and its version such as 18.6."""

    path: Path
    version: str

    @property
    def major(self) -> int:
        """The major version, such as 18."""
        return int(self.version.partition(".")[0])


def examined_program(path: Path) -> Program | None:
    """Return the program at the path with its version; None if it does not run."""
    try:
        done = subprocess.run([str(path), "--version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\(PostgreSQL\) (\d+[\w.]*)", done.stdout)
    return Program(path, found[1]) if done.returncode == 0 and found else None


def best_compression(program: Program) -> str:
    """Return the compression of a dump: zstd where this pg_dump can, else gzip."""
    # It examines the option before it connects, and there is no such socket.
    words = [str(program.path), "--format=custom", "--compress=zstd:3", "--host=/dev/null", "--dbname=none"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    return "3" if "--compress" in done.stderr or "compression" in done.stderr else "zstd:3"


def connection_variables(dsn: str, present: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment with which a program of Postgres connects as the product does.

    `present` is the environment of this process. Options of the URL that the programs do not know are settings of the
    session. Raises InvalidInput for a key with a pass phrase, which the programs would read from a terminal.
    """
    present = os.environ if present is None else present
    address, options = database_address(dsn), database_options(dsn)
    if "sslpassword" in options:
        raise InvalidInput(
            "the URL of Postgres has sslpassword, which pg_dump and pg_restore do not take: use a key without a pass phrase"
        )
    variables = {name: value for name, value in present.items() if not name.startswith(_OWN) or name in _KEPT}
    places = database_places(dsn)
    ports = [str(place.port or "") for place in places]
    given = {
        "PGHOST": ",".join(place.host for place in places),
        "PGPORT": ",".join(ports) if any(ports) else "",
        "PGUSER": address.user,
        "PGPASSWORD": address.password,
        "PGDATABASE": address.database,
        "PGSSLMODE": address.sslmode,
        **{_OPTIONS[name]: value for name, value in options.items() if name in _OPTIONS},
    }
    others = {name: value for name, value in options.items() if name not in {*_OPTIONS, *_IN_ADDRESS, "options"}}
    of_session = [f"-c {_escaped(f'{name}={value}')}" for name, value in sorted(others.items())]
    given["PGOPTIONS"] = " ".join([options.get("options", ""), *of_session]).strip()
    if len(places) > 1:
        given.setdefault("PGTARGETSESSIONATTRS", "read-write")
    if address.sslmode not in ("verify-ca", "verify-full"):
        # Like the product, the programs reveal no password to a server that has not proven its identity.
        given["PGREQUIREAUTH"] = "!password,!md5"
    return variables | {name: value for name, value in given.items() if value} | {"LC_ALL": "C.UTF-8"}


def _escaped(text: str) -> str:
    return re.sub(r"([\\\s])", r"\\\1", text)


@asynccontextmanager
async def dump(program: Program, dsn: str, *, snapshot: str, schema: str, compress: str) -> AsyncIterator["Output"]:
    """Run pg_dump, and give its output to the `with` block. The program is ended with the block."""
    # The schema's name is a pattern, in which quotes make each character an ordinary one.
    quoted = '"' + schema.replace('"', '""') + '"'
    words = [
        "--format=custom",
        f"--compress={compress}",
        f"--snapshot={snapshot}",
        f"--schema={quoted}",
        "--no-password",
    ]
    async with _running(program, words, dsn, stdin=False) as process:
        yield Output(program, process)


class Output:
    """The output of a program that runs. The pieces end without an error only if the program has succeeded."""

    def __init__(self, program: Program, process: "_Process") -> None:
        self._program = program
        self._process = process

    async def pieces(self, bytes_per_second: int = 0) -> AsyncIterator[bytes]:
        """Yield the output, at most so many bytes in a second on average; 0 means no limit.

        Raises ProgramFailed after the last piece if the program has failed. The program waits while its output is not
        read, and so does its session of Postgres.
        """
        stdout = self._process.process.stdout
        assert stdout is not None  # noqa: S101 - a pipe was asked for
        started, taken = time.monotonic(), 0
        while piece := await stdout.read(_SMALL_PIECE if bytes_per_second else _PIECE):
            yield piece
            taken += len(piece)
            if bytes_per_second:
                await asyncio.sleep(started + taken / bytes_per_second - time.monotonic())
        await self._process.succeeded(self._program.path.name)


async def restore(
    program: Program, dsn: str, pieces: Callable[[], AsyncIterator[bytes]], *, schema: str, privileges: bool
) -> None:
    """Restore the objects of a dump into the existing schema by pg_restore, in one transaction: all of them or none.

    `pieces` reads the dump, and is called twice. Its last piece is only given to pg_restore after it has ended without
    an error. A dump can't be restored without its last bytes, so an error of `pieces` prevents the commit. Raises
    ProgramFailed.
    """
    words = ["--format=custom", "--exit-on-error", "--single-transaction", "--no-owner", "--no-password"]
    words += [f"--schema={schema}", f"--dbname={database_address(dsn).database}"]
    words += [] if privileges else ["--no-privileges"]
    with NamedTemporaryFile(prefix="bridge-restore-") as chosen:
        chosen.write(await _restored_entries(program, dsn, pieces()))
        chosen.flush()
        async with _running(program, [*words, f"--use-list={chosen.name}"], dsn, stdin=True) as process:
            await _give(process, pieces())
            await process.succeeded(program.path.name)


async def _restored_entries(program: Program, dsn: str, pieces: AsyncIterator[bytes]) -> bytes:
    """Return the list of a dump's entries to restore, in pg_restore's format.

    Every account may have default privileges for objects that it creates. Only that account, or a superuser, can restore
    them, and the product needs none.
    """
    async with _running(program, ["--format=custom", "--list"], dsn, stdin=True, stdout=True) as process:
        assert process.process.stdout is not None  # noqa: S101 - a pipe was asked for
        reading = asyncio.create_task(process.process.stdout.read())
        try:
            # It ends after the list, which is at the beginning of the dump.
            await _give(process, pieces)
            listed = await reading
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
        await process.succeeded(program.path.name)
    return b"".join(line for line in listed.splitlines(keepends=True) if not _DEFAULT_PRIVILEGES.match(line))


async def _give(process: "_Process", pieces: AsyncIterator[bytes]) -> None:
    """Write the pieces to the process's standard input, the last one after `pieces` has ended, and close it."""
    stdin = process.process.stdin
    assert stdin is not None  # noqa: S101 - a pipe was asked for
    held = b""
    # A program that has failed closes its input; its error is what counts.
    with suppress(BrokenPipeError, ConnectionResetError):
        async for piece in pieces:
            stdin.write(held)
            await stdin.drain()
            held = piece
        stdin.write(held)
        await stdin.drain()
        stdin.close()


@dataclass
class _Process:
    """A process, and the task that reads its standard error."""

    process: asyncio.subprocess.Process
    errors: "asyncio.Task[bytes]"

    async def succeeded(self, name: str) -> None:
        """Wait for the process; raises ProgramFailed if it has failed."""
        code = await self.process.wait()
        errors = " ".join((await self.errors).decode(errors="replace").split())
        if code < 0:
            raise ProgramFailed(f"{name} was ended by signal {-code}: {errors or 'it wrote no error'}")
        if code:
            raise ProgramFailed(f"{name} has failed with exit code {code}: {errors or 'it wrote no error'}")


@asynccontextmanager
async def _running(
    program: Program, words: list[str], dsn: str, *, stdin: bool, stdout: bool = False
) -> AsyncIterator[_Process]:
    process = await asyncio.create_subprocess_exec(
        str(program.path),
        *words,
        stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE if stdout or not stdin else asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=connection_variables(dsn),
        limit=_SMALL_PIECE,
        # A signal from the terminal is for the command, which ends the program itself.
        start_new_session=True,
    )
    if not stdin:
        # A dump's compression takes all the processor time that it gets, and workers and servers come first.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
    errors = asyncio.create_task(_tail(process))
    try:
        yield _Process(process, errors)
    finally:
        if process.returncode is None:
            # It leads a session, so that a script that has started the real program ends with that.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            # asyncio notices the end only once the output is read, of which a pipe may still be full.
            while process.stdout is not None and await process.stdout.read(_PIECE):
                pass
            await process.wait()
        if process.stdin is not None:
            process.stdin.close()
        errors.cancel()
        with suppress(asyncio.CancelledError):
            await errors


async def _tail(process: asyncio.subprocess.Process) -> bytes:
    """Return the last bytes of the process's standard error."""
    assert process.stderr is not None  # noqa: S101 - a pipe was asked for
    kept = b""
    while piece := await process.stderr.read(_MOST_SAID):
        kept = (kept + piece)[-_MOST_SAID:]
    return kept
