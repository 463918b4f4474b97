"""A stack's directory of release 0.1.0: open to all accounts, with a Postgres that trusts every client."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from bridge.dev.stack.accounts import postgres_account
from bridge.dev.stack.binaries import find_programs
from bridge.dev.stack.ports import LOOPBACK, choose
from sinks.postgres.schema.migrate import migrate

START_SECONDS = 60
CONTENT = """
CREATE SCHEMA mine;
CREATE TYPE mine.mood AS ENUM ('good', 'bad');
CREATE DOMAIN mine.short AS text CHECK (length(value) < 9);
CREATE TABLE mine.kept (number bigint GENERATED ALWAYS AS IDENTITY, old serial, mood mine.mood, name mine.short);
CREATE SEQUENCE mine.apart;
CREATE VIEW mine.shown AS SELECT name FROM mine.kept;
CREATE MATERIALIZED VIEW mine.copied AS SELECT name FROM mine.kept;
CREATE FUNCTION mine.one() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE STATISTICS mine.both ON mood, name FROM mine.kept;
INSERT INTO mine.kept (mood, name) VALUES ('good', 'one');
"""


def make_older_stack(directory: Path) -> None:
    """Make the directory with a migrated database and a second one, both owned by the superuser."""
    home = directory / "postgres"
    home.mkdir(parents=True)
    for path in (directory, home):
        path.chmod(0o755)
    for name in ("logs", "kafka"):
        (directory / name).mkdir(mode=0o755)
    (directory / "kafka" / "left.properties").write_text("")
    (directory / "kafka" / "left.properties").chmod(0o644)
    port = choose(asked=None, remembered=None, taken=(), purpose="Postgres")
    with _trusting_server(home, port) as url:
        asyncio.run(_fill(url))
    server = {"port": port, "pid": None, "created": 0.0}
    kafka = server | {"port": choose(asked=None, remembered=None, taken=(port,), purpose="Kafka")}
    controller = choose(asked=None, remembered=None, taken=(port, kafka["port"]), purpose="Kafka's controller")
    state = {"kafka": kafka, "postgres": server, "controller_port": controller}
    state |= {"owner": None, "supervisor_pid": None, "ready": False}
    (directory / "stack.json").write_text(json.dumps(state))
    (directory / "stack.json").chmod(0o644)


@contextmanager
def _trusting_server(home: Path, port: int) -> Iterator[str]:
    data = home / "data"
    account = postgres_account(data)
    data.mkdir(mode=0o700)
    account.own(data)
    programs = find_programs(account, home=home, data_major=None)
    initdb = [str(programs.directory / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust"]
    made = account.run([*initdb, "--encoding=UTF8", "--no-locale"], cwd=data, timeout=START_SECONDS)
    assert made.returncode == 0, made.stderr
    settings = {"listen_addresses": LOOPBACK, "unix_socket_directories": "", "port": str(port)}
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    server = subprocess.Popen(
        [str(programs.directory / "postgres"), "-D", str(data), *words],
        cwd=data, user=account.uid, group=account.gid, extra_groups=None if account.uid is None else [],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url = f"postgresql://postgres@{LOOPBACK}:{port}"
        deadline = time.monotonic() + START_SECONDS
        while not asyncio.run(_answers(url)):
            assert server.poll() is None, "the older Postgres ended"
            assert time.monotonic() < deadline, "the older Postgres does not answer"
        yield url
    finally:
        server.terminate()
        server.wait(START_SECONDS)


async def _answers(url: str) -> bool:
    try:
        connection = await asyncpg.connect(f"{url}/postgres", timeout=5)
    except (OSError, asyncpg.PostgresError):
        await asyncio.sleep(0.05)
        return False
    await connection.close()
    return True


async def _fill(url: str) -> None:
    connection = await asyncpg.connect(f"{url}/postgres")
    await connection.execute("CREATE DATABASE ghostlink")
    await connection.execute('CREATE DATABASE "my own"')
    await connection.close()
    await migrate(f"{url}/ghostlink")
    for name in ("ghostlink", "my own"):
        connection = await asyncpg.connect(f"{url}/{name}")
        await connection.execute(CONTENT)
        await connection.close()
