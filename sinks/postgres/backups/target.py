"""The database that a backup is restored into: whether it is empty and unused, and scratch databases for verifications."""

import hashlib
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import asyncpg

from schemas.config.addresses import database_address, database_options
from schemas.errors import BridgeError, PreconditionFailed
from sinks.postgres.backups.snapshot import catalogue_digest, count_tables
from sinks.postgres.connection import APPLICATION_PREFIX, connection
from sinks.postgres.schema.migrate import applied
from sinks.postgres.statements import sql

SCRATCH: Final = "bridge_verify_"
_PUBLIC: Final = "public"


class Target(NamedTuple):
    """A database that a backup may be restored into: its name, and the server's version and major version."""

    database: str
    version: str
    major: int


async def restorable(dsn: str, roles: Collection[str]) -> Target:
    """Return the database if it is empty, unused, and its server has the accounts `roles`; raises PreconditionFailed."""
    async with connection(dsn, "restore") as conn:
        row = await conn.fetchrow(sql("backup_target"))
        target = Target(row["database"], row["version"], row["major"])
        if present := await conn.fetch(sql("backup_objects_present")):
            names = ", ".join(one["name"] for one in present)
            raise PreconditionFailed(
                f"database {target.database} is not empty, it has {names}: create a new database, and name it in --to"
            )
        if users := await conn.fetch(sql("backup_sessions"), APPLICATION_PREFIX, f"{APPLICATION_PREFIX} restore"):
            who = ", ".join(f"session {one['pid']} ({one['role']}, {one['application']})" for one in users)
            raise PreconditionFailed(
                f"database {target.database} is in use by processes of the bridge: {who}; stop them, and start them after the restore"
            )
        if missing := await conn.fetch(sql("backup_roles_missing"), list(roles)):
            names = ", ".join(one["role"] for one in missing)
            raise PreconditionFailed(
                f"the server lacks the accounts {names}, which have privileges in the backup: create them "
                "(deploy/postgres/accounts.sql), or give --no-privileges and run `bridge db grants` for each account afterwards"
            )
        return target


class Restored(NamedTuple):
    """What a restored database has, to be compared with the manifest."""

    tables: dict[str, int]
    catalogue_sha256: str
    migrations: list[str]


async def read_restored(dsn: str) -> Restored:
    """Return what is in the restored database; raises SinkUnavailable."""
    async with connection(dsn, "restore") as conn:
        return Restored(await count_tables(conn), await catalogue_digest(conn), sorted(await applied(conn)))


def with_database(dsn: str, name: str) -> str:
    """Return the URL of another database of the same server, for the same account."""
    return urlsplit(dsn)._replace(path=f"/{quote(name, safe='')}").geturl()


def in_schema(dsn: str, schema: str) -> str:
    """Return the URL with which the schema is the current one; `public` needs no option."""
    if schema == _PUBLIC:
        return dsn
    options = database_options(dsn) | {"search_path": _quoted(schema)}
    return urlsplit(dsn)._replace(query=urlencode(options, quote_via=quote)).geturl()


@asynccontextmanager
async def schema_for(dsn: str, schema: str) -> AsyncIterator[None]:
    """Create the schema for a restore in the `with` block, if it is missing; drop it again after an error."""
    async with connection(dsn, "restore") as conn:
        created = not await conn.fetchval("SELECT to_regnamespace($1) IS NOT NULL", _quoted(schema))
        if created:
            await conn.execute(f"CREATE SCHEMA {_quoted(schema)}")
    try:
        yield
    except BaseException:
        if created:
            async with connection(dsn, "restore") as conn:
                await conn.execute(f"DROP SCHEMA IF EXISTS {_quoted(schema)}")
        raise


@asynccontextmanager
async def functions_of_owner(dsn: str) -> AsyncIterator[None]:
    """Let functions that the account creates in the `with` block be executed by itself only, instead of by every account.

    A restore without privileges needs it: some functions run with their owner's rights. `bridge db grants` grants each
    service what it needs.
    """
    async with connection(dsn, "restore") as conn:
        await conn.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    try:
        yield
    finally:
        async with connection(dsn, "restore") as conn:
            await conn.execute("ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@asynccontextmanager
async def scratch_database(dsn: str, installation: str) -> AsyncIterator[str]:
    """Create a database on the server of `dsn` for the `with` block, and drop it afterwards; yield its URL.

    `installation` distinguishes the scratch databases of installations that share a server. Those that a killed
    verification of this installation has left behind are dropped first. Raises PreconditionFailed if the account may
    create none.
    """
    begins = f"{SCRATCH}{hashlib.sha256(installation.encode()).hexdigest()[:8]}_"
    name = begins + secrets.token_hex(4)
    async with connection(dsn, "restore") as conn:
        for row in await conn.fetch(sql("backup_scratch_left"), begins):
            await conn.execute(_drop(row["name"]))
        try:
            await conn.execute(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8' ALLOW_CONNECTIONS false")
        except asyncpg.InsufficientPrivilegeError:
            role = await conn.fetchval("SELECT current_user")
            raise PreconditionFailed(
                f"role {role} may not create the database for the verification: run ALTER ROLE {role} CREATEDB as a superuser, "
                "or name a server for verifications in BRIDGE_VERIFY_DATABASE_URL"
            ) from None
        # Every account of the server may otherwise connect to a new database, and has there what
        # deploy/postgres/accounts.sql takes away: advisory locks, large objects, temporary tables.
        await conn.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
        await conn.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    try:
        yield with_database(dsn, name)
    finally:
        async with connection(dsn, "restore") as conn:
            await conn.execute(_drop(name))


def _drop(name: str) -> str:
    return f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'


async def empty_again(dsn: str) -> str:
    """Return a sentence on whether the database of a failed restore is empty, which it should be."""
    name = database_address(dsn).database
    try:
        async with connection(dsn, "restore") as conn:
            left = await conn.fetch(sql("backup_objects_present"))
    except BridgeError as error:
        return f"whether database {name} is empty is not known ({error}): drop it before you try again"
    return f"database {name} is not empty: drop it before you try again" if left else f"database {name} is empty again"
