"""The embedded stack is closed to other accounts: passwords, file modes, no superuser, converted old directories."""

import asyncio
import json
import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from support.infrastructure.databases import with_database
from support.infrastructure.false_postgres import FalsePostgres
from support.infrastructure.older_stack import make_older_stack
from support.infrastructure.servers import stack_directory
from support.processes.programs import STACK_COMMAND, python, run
from support.processes.strangers import command_as, python_as

from bridge.dev.stack import Stack, StackAddresses, cluster, databases, state
from bridge.dev.stack.owner import Owner
from bridge.dev.stack.ports import choose
from bridge.dev.stack.process import Launch
from schemas.config.service import Service
from schemas.errors import InvalidInput, PreconditionFailed
from sinks.postgres.schema.check import check_database
from sinks.postgres.schema.grants import grants
from sinks.postgres.schema.migrate import migrate

STRANGER = 65533
ROOT = os.geteuid() == 0
AS_THE_OWNER = (
    "INSERT INTO mine.kept (mood, name) VALUES ('bad', 'two')",
    "REFRESH MATERIALIZED VIEW mine.copied",
    "ALTER TYPE mine.mood ADD VALUE 'odd'",
    "ALTER DOMAIN mine.short DROP NOT NULL",
    "ALTER SEQUENCE mine.apart RESTART",
    "DROP FUNCTION mine.one()",
    "DROP STATISTICS mine.both",
    "DROP VIEW mine.shown",
    "CREATE TABLE mine.more ()",
)
CONNECT = """
import asyncio, sys
import asyncpg
async def main():
    try:
        await asyncpg.connect(sys.argv[1], password=sys.argv[2], timeout=20)
    except asyncpg.PostgresError as error:
        print(error.sqlstate)
asyncio.run(main())
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory for a stack, which is stopped at the end."""
    with stack_directory() as made:
        try:
            yield made / "stack"
        finally:
            Stack(made / "stack").purge()


@pytest.fixture
def older(directory: Path) -> Path:
    """A directory of the previous release."""
    make_older_stack(directory)
    return directory


def without_password(url: str) -> str:
    found = urlsplit(url)
    return found._replace(netloc=f"{found.username}@{found.hostname}:{found.port}").geturl()


async def ask(url: str, question: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def chosen_before(port: int) -> Callable[..., int]:
    """The stack's choice of ports, except that this port is always considered free."""

    def choose_port(*, remembered: int | None, **options: Any) -> int:
        return port if remembered == port else choose(remembered=remembered, **options)

    return choose_port


def test_another_account_is_refused(directory: Path) -> None:
    """Postgres refuses both roles with 28P01, and the file system refuses each file."""
    addresses = Stack(directory).start()
    before = python_as(STRANGER) if ROOT else []
    for url in (addresses.database_url, addresses.admin_database_url):
        for password in ("", "guessed", "postgres", "ghostlink"):
            told = run(python(CONNECT, without_password(url), password, before=before))
            assert told.stdout == "28P01\n", (told, password)
    if not ROOT:
        return
    for path in (directory, *(directory / name for name in ("logs", "kafka", "postgres", "postgres/data"))):
        listed = subprocess.run(command_as(STRANGER, ["ls", str(path)]), capture_output=True, text=True)
        assert listed.returncode != 0, path
        assert "Permission denied" in listed.stderr
    for path in (directory / state.FILE_NAME, directory / "logs" / "kafka.log"):
        assert subprocess.run(command_as(STRANGER, ["cat", str(path)]), capture_output=True).returncode != 0
    if "--ambient-caps=+dac_read_search" not in before:
        status = run(python(STACK_COMMAND, "status", "--dir", str(directory), before=before))
        assert status.returncode == 3, status
        assert "is not accessible to this account; use the account that started the stack" in status.stderr


async def test_a_reader_of_the_stack_has_no_more_than_it_needs(directory: Path) -> None:
    """The reader's grants are those of the documentation; a restart revokes the excess of an older database."""
    stack = Stack(directory)
    addresses = await asyncio.to_thread(stack.start)
    await migrate(addresses.database_url)
    for statement in (
        "CREATE ROLE analyst LOGIN PASSWORD 'x'",
        "GRANT TEMPORARY ON DATABASE ghostlink TO PUBLIC",
        "GRANT CONNECT ON DATABASE postgres, template1 TO PUBLIC",
    ):
        await ask(addresses.admin_database_url, statement)
    await grants(addresses.database_url, "analyst", Service.READER, apply=True)
    found = urlsplit(addresses.database_url)
    reader = found._replace(netloc=f"analyst:x@{found.hostname}:{found.port}").geturl()
    (excess,) = await check_database(reader, months_ahead=2, service=Service.READER)
    assert "has TEMPORARY" in str(excess)
    await asyncio.to_thread(stack.stop)
    await asyncio.to_thread(stack.start)
    assert await check_database(reader, months_ahead=2, service=Service.READER) == []
    for database in ("postgres", "template1"):
        # Rights of PUBLIC are revoked in each database.
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
            await ask(urlsplit(reader)._replace(path=f"/{database}").geturl(), "SELECT 1")


def test_no_file_is_open_whatever_the_umask(directory: Path) -> None:
    """Kafka's data, logs and the state file are closed; started by root, Postgres' account may pass two directories."""
    before = os.umask(0)
    try:
        Stack(directory).start()
    finally:
        os.umask(before)
    passed = {directory, directory / "postgres"} if ROOT else set()
    for path in (directory, *directory.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_symlink() or directory / "postgres" / "server" in path.parents:
            continue
        assert not mode & (0o067 if path in passed else 0o077), f"{path}: {mode:o}"
    assert stat.S_IMODE((directory / state.FILE_NAME).stat().st_mode) == 0o600


async def test_a_stranger_on_the_port_is_told_nothing(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that takes Postgres' port just before the start is named and receives no connection."""
    stack = Stack(directory)
    await asyncio.to_thread(stack.start)
    await asyncio.to_thread(stack.stop)
    found = state.read(directory)
    assert found is not None
    # The port is checked before the other process takes it.
    monkeypatch.setattr("bridge.dev.stack.stack.choose", chosen_before(found.postgres.port))
    async with FalsePostgres("clear", port=found.postgres.port).running() as stranger:
        with pytest.raises(PreconditionFailed, match=rf"^Postgres died at start: .* holds port {stranger.port} of "):
            await asyncio.to_thread(Stack(directory).start)
    assert stranger.met == 0


@pytest.mark.skipif(not ROOT, reason="gives a path to another account")
@pytest.mark.parametrize("name", [".", "logs", "kafka", "postgres", state.FILE_NAME])
@pytest.mark.parametrize("kind", ["directory", "link"])
def test_what_another_account_prepared_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    """The stack refuses it before it writes anything: its owner could replace each file in it by a link."""
    directory, victim = tmp_path / "stack", tmp_path / "victim"
    victim.mkdir()
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "directory":
        path.mkdir(exist_ok=True)
    else:
        path.symlink_to(victim)
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(
        PreconditionFailed, match=rf"^{path} belongs to user id {STRANGER}, who could redirect .*; start"
    ):
        Stack(directory).start()
    assert list(victim.iterdir()) == []


def test_a_link_in_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    """The error names the link, and its target stays unchanged."""
    log, victim = tmp_path / "postgres.log", tmp_path / "victim"
    victim.write_text("kept")
    log.symlink_to(victim)
    owner = Owner(owned=True)
    try:
        with pytest.raises(
            PreconditionFailed, match=rf"^can't run /bin/echo: the log {log} is a link; remove the link$"
        ):
            owner.launch(Launch(["/bin/echo", "written"], tmp_path, log, signal.SIGTERM))
    finally:
        owner.let_go()
    assert victim.read_text() == "kept"


async def test_the_product_is_no_superuser(directory: Path) -> None:
    """Its role migrates and checks its database, and has no access to files, programs and other roles."""
    addresses = await asyncio.to_thread(Stack(directory).start)
    await migrate(addresses.database_url)
    assert await check_database(addresses.database_url, months_ahead=1) == []
    rights = "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls FROM pg_roles"
    assert not await ask(addresses.database_url, f"{rights} WHERE rolname = current_user")
    for statement in (
        "COPY stream_offset FROM PROGRAM 'id'",
        "SELECT pg_read_file('pg_hba.conf')",
        "CREATE ROLE another SUPERUSER",
        "ALTER SYSTEM SET fsync = off",
        "ALTER ROLE postgres PASSWORD 'known'",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ask(addresses.database_url, statement)
    assert await ask(addresses.admin_database_url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")


async def assert_converted(directory: Path, addresses: StackAddresses) -> None:
    """Check that files of an older release are closed, require a password and belong to the product's role."""
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(without_password(addresses.admin_database_url), password="guessed")
    rules = (directory / "postgres" / "data" / "pg_hba.conf").read_text().splitlines()
    assert {line.split()[-1] for line in rules if line and not line.startswith("#")} == {"scram-sha-256"}
    assert await check_database(addresses.database_url, months_ahead=1) == []
    await migrate(addresses.database_url)
    foreign = "SELECT count(*) FROM pg_class WHERE relowner = 10 AND oid >= 16384 AND relkind <> 't'"
    for name in ("ghostlink", "my own"):
        url = with_database(addresses.database_url, name.replace(" ", "%20"))
        assert await ask(url, "SELECT name FROM mine.shown") == "one"
        assert await ask(url, foreign) == 0
        for statement in AS_THE_OWNER:
            await ask(url, statement)
    assert stat.S_IMODE((directory / "kafka" / "left.properties").stat().st_mode) == 0o600
    assert json.loads((directory / state.FILE_NAME).read_text())["credentials"]["applied"]


async def test_an_older_directory_is_converted(older: Path) -> None:
    """The conversion keeps data and port and happens once: the passwords stay the same."""
    port = json.loads((older / state.FILE_NAME).read_text())["postgres"]["port"]
    first = await asyncio.to_thread(Stack(older).start)
    await assert_converted(older, first)
    assert urlsplit(first.database_url).port == port
    await asyncio.to_thread(Stack(older).stop)
    assert await asyncio.to_thread(Stack(older).start) == first
    assert await ask(first.database_url, "SELECT count(*) FROM mine.kept") == 2


def after_the_password(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cluster, "write_private", cut_off)


def before_a_database_changes_hands(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(databases, "_hand_over", cut_off)


def before_it_is_remembered(patch: pytest.MonkeyPatch) -> None:
    written = state.write

    def write(directory: Path, found: state.StackState) -> None:
        if found.ready:
            cut_off()
        written(directory, found)

    patch.setattr(state, "write", write)


def cut_off(*_arguments: object, **_named: object) -> None:
    raise PreconditionFailed("cut off")


@pytest.mark.parametrize("where", [after_the_password, before_a_database_changes_hands, before_it_is_remembered])
async def test_an_interrupted_conversion_is_completed(older: Path, where: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next start completes a conversion, at whichever step it was interrupted."""
    with monkeypatch.context() as patch:
        where(patch)
        with pytest.raises(PreconditionFailed, match="cut off"):
            await asyncio.to_thread(Stack(older).start)
    assert not Stack(older).status().running
    await assert_converted(older, await asyncio.to_thread(Stack(older).start))


async def test_a_lost_password_is_replaced(directory: Path) -> None:
    """A wrong password is reported; without the state file the next start sets new ones and keeps the data."""
    first = await asyncio.to_thread(Stack(directory).start)
    await ask(first.database_url, "CREATE TABLE kept ()")
    await asyncio.to_thread(Stack(directory).stop)
    path = directory / state.FILE_NAME
    path.write_text(path.read_text().replace(urlsplit(first.admin_database_url).password or "", "0" * 32))
    with pytest.raises(PreconditionFailed, match=r"refuses the superuser's password in stack\.json .*delete this file"):
        await asyncio.to_thread(Stack(directory).start)
    path.unlink()
    second = await asyncio.to_thread(Stack(directory).start)
    assert urlsplit(second.database_url).password != urlsplit(first.database_url).password
    assert await ask(second.database_url, "SELECT count(*) FROM kept") == 0


async def test_a_running_stack_of_an_earlier_release_is_named(directory: Path) -> None:
    """The stack has to be stopped first, as its clients use it without a password."""
    await asyncio.to_thread(Stack(directory).start)
    path = directory / state.FILE_NAME
    found = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in found.items() if name != "credentials"}))
    with pytest.raises(InvalidInput, match=r"was started by an earlier release.* stop it with `bridge stack down`"):
        await asyncio.to_thread(Stack(directory).start)
    port = found["postgres"]["port"]
    assert Stack(directory).status().database_url == f"postgresql://postgres@127.0.0.1:{port}/ghostlink"
