"""A start reports a refusal as what it is, not as an outage."""

from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from support.processes.command import bridge

from schemas.config.service import Service
from schemas.config.settings import Settings
from schemas.errors import RowRejected, SinkUnavailable
from sinks.postgres.connection import connect
from sinks.postgres.schema.check import blocking_differences, check_database
from sinks.refusals import refusal

MONTH = f"bridge_event_{datetime.now(UTC):%Y_%m}"


async def test_a_default_partition_is_named(database_url: str) -> None:
    """`db migrate`, `db check` and a strict start name it when it holds an event of a missing month."""
    conn = await asyncpg.connect(database_url)
    try:
        await conn.execute("CREATE TABLE somebodys_rest PARTITION OF bridge_event DEFAULT")
        assert await blocking_differences(database_url, Service.OWNER) == []
        await conn.execute(f"ALTER TABLE bridge_event DETACH PARTITION {MONTH}")
        await conn.execute(f"DROP TABLE {MONTH}")
        columns = await conn.fetch(
            "SELECT attname, format_type(atttypid, atttypmod) AS kind FROM pg_attribute"
            " WHERE attrelid = 'bridge_event'::regclass AND attnum > 0 AND attnotnull AND NOT atthasdef"
        )
        texts = {"timestamp with time zone": "now()", "jsonb": "'{}'", "text": "'x'", "uuid": "gen_random_uuid()"}
        names = ", ".join(row["attname"] for row in columns)
        values = ", ".join(texts.get(row["kind"], "1") for row in columns)
        await conn.execute(f"INSERT INTO bridge_event ({names}) VALUES ({values})")
    finally:
        await conn.close()

    migrated = bridge("db", "migrate", settings={"BRIDGE_DATABASE_URL": database_url})
    lines = await check_database(database_url, months_ahead=2)
    refused = await blocking_differences(database_url, Service.OWNER)

    (told,) = migrated.stderr.decode().splitlines()
    assert migrated.returncode == 3
    assert told.startswith(f"error: {MONTH} can't be created: somebodys_rest is the default partition")
    assert "DETACH PARTITION somebodys_rest, then `bridge db migrate`" in told
    for found in (lines, refused):
        assert any(line.startswith("partition somebodys_rest: not expected; ") for line in found), found


async def test_a_default_partition_without_need_is_only_told(database_url: str) -> None:
    """An empty default partition doesn't refuse a start, and `db check` reports it."""
    conn = await asyncpg.connect(database_url)
    await conn.execute("CREATE TABLE somebodys_rest PARTITION OF bridge_event DEFAULT")
    await conn.close()

    assert await blocking_differences(database_url, Service.OWNER) == []
    (line,) = await check_database(database_url, months_ahead=2)
    assert line.startswith("partition somebodys_rest: not expected")


def test_a_wrong_password_is_no_outage(settings: Settings) -> None:
    """A wrong password and a missing database have errors of their own."""
    for wrong, says in (
        (settings.dsn.replace("@", "x@", 1), "user and the password"),
        (f"{settings.dsn}_x", "create the database"),
    ):
        done = bridge("db", "check", settings={"BRIDGE_DATABASE_URL": wrong})
        assert done.returncode == 3
        assert done.stderr.startswith(b"error: Postgres refuses a needed operation: ")
        assert says in done.stderr.decode()


async def test_a_connection_that_is_refused_is_no_event_s_fault(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing authority file counts as an outage: the worker waits, and no event fails."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SinkUnavailable, match="root certificate file") as found:
        await connect(f"{settings.dsn}?sslmode=verify-full", "lane")
    assert refusal(found.value).endswith("; correct the options of BRIDGE_DATABASE_URL")


@pytest.mark.parametrize(
    ("error", "begins", "says"),
    [
        (SinkUnavailable("x"), "Postgres is away at start: x; start it", ""),
        (SinkUnavailable("x", sqlstate="57P03"), "Postgres is away at start: x; start it", ""),
        (
            SinkUnavailable("x", sqlstate="42501"),
            "Postgres refuses a needed operation at start: x; ",
            "bridge db grants",
        ),
        (
            SinkUnavailable("x", sqlstate="42P01"),
            "Postgres refuses a needed operation at start: x; ",
            "bridge db check",
        ),
        (SinkUnavailable("x", sqlstate="25006"), "Postgres refuses a needed operation at start: x; ", "primary"),
        (RowRejected("x", sqlstate="23505"), "Postgres refuses a needed operation at start: x; ", "Postgres' log"),
        (
            SinkUnavailable("x\nHINT:  y.", sqlstate="22000"),
            "Postgres refuses a needed operation at start: x HINT: y; ",
            "options",
        ),
    ],
    ids=range(7),
)
def test_a_refusal_is_told_with_its_remedy(error: SinkUnavailable | RowRejected, begins: str, says: str) -> None:
    """Only an unreachable server counts as away."""
    told = refusal(error, "at start")
    assert told.startswith(begins)
    assert says in told
