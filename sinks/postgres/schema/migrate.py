"""Migrations: SQL files that are applied in order, each in its own transaction, under one advisory lock."""

import hashlib
from functools import partial
from pathlib import Path
from typing import NamedTuple

import asyncpg

from schemas.errors import PreconditionFailed
from sinks.postgres.connection import Connection, connection
from sinks.postgres.poolers import demand_sessions
from sinks.postgres.schema.monthly_partitions import make_partitions, months_missing, summarize_months
from sinks.postgres.statements import sql
from sinks.postgres.table_locks import PATIENCE_SECONDS, Tell, locking, log_awaited

LOCK_KEY = 0x6768_6F73_746C  # the text "ghostl" as a number, which no other lock in the database uses
DEFAULT_MONTHS_AHEAD = 2


class Migration(NamedTuple):
    """One migration file. Its checksum detects that a file was changed after it was applied."""

    version: int
    name: str
    text: str
    checksum: str


def migrations() -> list[Migration]:
    """Return all migrations in the installed package, in order."""
    found = []
    for entry in Path(__file__).with_name("migrations").iterdir():
        if entry.suffix == ".sql":
            text = entry.read_text()
            found.append(Migration(int(entry.name[:4]), entry.name, text, hashlib.sha256(text.encode()).hexdigest()))
    return sorted(found)


async def applied(conn: Connection) -> dict[str, str]:
    """Return names and checksums of the migrations that are applied to the database; empty for a new database.

    Raises PreconditionFailed for an account that may not read them.
    """
    readable = await conn.fetchval("SELECT has_table_privilege(to_regclass('schema_migration'), 'SELECT')")
    if readable is None:
        return {}
    if not readable:
        role = await conn.fetchval("SELECT current_user")
        raise PreconditionFailed(
            f"role {role}: lacks SELECT on schema_migration; run `bridge db grants {role} --service ...` as the owner"
        )
    rows = await conn.fetch(sql("migrations_applied"))
    return {row["name"]: row["checksum"] for row in rows}


async def pending(database_url: str) -> list[str]:
    """Return the names of pending migrations; raises PreconditionFailed if an applied one was changed."""
    async with connection(database_url, "migrate") as conn:
        return [one.name for one in missing(await applied(conn))]


def missing(have: dict[str, str]) -> list[Migration]:
    """Return the migrations that are not among the applied ones; raises PreconditionFailed if one of these was changed."""
    known = migrations()
    for one in known:
        if have.get(one.name, one.checksum) != one.checksum:
            raise PreconditionFailed(
                f"migration {one.name} was changed after it was applied; restore the file and add a new migration"
            )
    return [one for one in known if one.name not in have]


async def migrate(
    database_url: str,
    *,
    months_ahead: int = DEFAULT_MONTHS_AHEAD,
    lock_seconds: float = PATIENCE_SECONDS,
    tell: Tell = log_awaited,
) -> list[str]:
    """Apply pending migrations and create the monthly partitions; return the names of the migrations that were applied.

    If no migration is pending, nothing is written, so that a read-only account succeeds. Each migration is tried
    repeatedly while another session locks one of its tables. `tell` is called with a line for each try that times out
    on a lock. Raises PreconditionFailed if another session holds the migrations' lock, or a table's lock, for
    `lock_seconds`. The migrations before the failed one stay applied, and the next call continues after them.
    """
    await demand_sessions(database_url)
    async with connection(database_url, "migrate") as conn:
        if await conn.fetchval("SELECT current_setting('transaction_read_only')") == "on":
            raise PreconditionFailed("the database is read-only, probably a replica: connect to the primary")
        if not missing(await applied(conn)) and not await months_missing(conn, months_ahead):
            await summarize_months(conn)
            return []
        await _lock(conn, lock_seconds)
        try:
            await conn.execute(sql("migrations_table"))
            todo = missing(await applied(conn))
            for one in todo:
                work = partial(_apply, conn, one)
                await locking(database_url, conn, f"migration {one.name}", work, seconds=lock_seconds, tell=tell)
            await make_partitions(database_url, conn, months_ahead, lock_seconds=lock_seconds, tell=tell)
        finally:
            await conn.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)
        return [one.name for one in todo]


async def _apply(conn: Connection, one: Migration) -> None:
    await conn.execute(one.text)
    await conn.execute(sql("migration_record"), one.version, one.name, one.checksum)


async def _lock(conn: Connection, seconds: float) -> None:
    """Take the advisory lock of migrations, with a time-out: by default, any account may hold this lock forever."""
    try:
        async with conn.transaction():
            await conn.execute(f"SET LOCAL lock_timeout = '{round(seconds * 1000)}ms'")
            # The lock belongs to the session, so that it does not end with the transaction.
            await conn.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
    except asyncpg.LockNotAvailableError as error:
        row = await conn.fetchrow(sql("migrations_lock_holder"), LOCK_KEY)
        holder = f"role {row['role']} (session {row['pid']})" if row else "another session"
        end = f", or end it: SELECT pg_terminate_backend({row['pid']})" if row else ", then try again"
        raise PreconditionFailed(
            f"{holder} has held the lock of migrations for {seconds:g} s: wait until its migration is complete{end}"
        ) from error
