"""Databases and roles of the stack's Postgres. The product's role owns its database and is no superuser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import asyncpg

from bridge.dev.stack.credentials import Credentials, scram_verifier
from bridge.dev.stack.ports import LOOPBACK
from sinks.postgres import server_proof

DATABASE = "ghostlink"
PRODUCT = "ghostlink"
SUPERUSER = "postgres"
_MAINTENANCE = "postgres"
_TEMPLATE = "template1"
_HAND_OVER = Path(__file__).with_name("hand_over.sql")
_GUARD = Path(__file__).with_name("guard.sql")
_CONNECT_SECONDS = 30


def database_url(port: int, role: str, password: str, database: str = DATABASE) -> str:
    """Return the URL of a database of the stack's server, with the role's password."""
    return f"postgresql://{role}:{password}@{LOOPBACK}:{port}/{quote(database, safe='')}"


async def answers(port: int, credentials: Credentials) -> bool:
    """Return whether the server accepts connections of the superuser.

    Raises asyncpg.InvalidAuthorizationSpecificationError if the server refuses the superuser or the password.
    """
    try:
        async with _administrator(port, credentials, _MAINTENANCE, timeout=5):
            return True
    except asyncpg.InvalidAuthorizationSpecificationError:
        raise
    # The connection was refused or reset, was too slow, or the server is still starting: it is not ready.
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


async def ensure_database(port: int, credentials: Credentials) -> None:
    """Create or correct the product's role and database. `credentials.applied` means that this was done earlier.

    If the call is interrupted, the next call completes the work. Raises the errors of asyncpg.
    """
    async with _administrator(port, credentials, _MAINTENANCE) as connection:
        if not credentials.applied:
            await _ensure_role(connection, credentials)
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f'CREATE DATABASE "{DATABASE}" OWNER "{PRODUCT}"')
        # Temporary tables can fill the disk. Postgres allows every account to create them, so this is revoked.
        await connection.execute(f'REVOKE TEMPORARY ON DATABASE "{DATABASE}" FROM PUBLIC')
        # The restrictions apply to one database. Only the superuser may connect to the other databases.
        await connection.execute(f'REVOKE CONNECT ON DATABASE "{_MAINTENANCE}", "{_TEMPLATE}" FROM PUBLIC')
        if not credentials.applied:
            taken = await connection.fetch(
                "SELECT datname, datallowconn FROM pg_database WHERE datdba = 10 AND NOT datistemplate AND datname <> $1",
                _MAINTENANCE,
            )
            for name, open_to_connections in taken:
                if open_to_connections:
                    await _hand_over(port, credentials, name)
                # This is the last step, because a database with the new owner counts as complete.
                await connection.execute(f"ALTER DATABASE {_quoted(name)} OWNER TO {_quoted(PRODUCT)}")
        await _guard(port, credentials)


async def _ensure_role(connection: asyncpg.Connection, credentials: Credentials) -> None:
    if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", PRODUCT):
        await connection.execute(f'CREATE ROLE "{PRODUCT}"')
    await connection.execute(
        f'ALTER ROLE "{PRODUCT}" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS '
        f"PASSWORD '{scram_verifier(credentials.product)}'"
    )
    # `bridge doctor` examines the disk of the data directory.
    await connection.execute(f'GRANT pg_read_all_settings TO "{PRODUCT}"')


async def _guard(port: int, credentials: Credentials) -> None:
    """Take privileges on Postgres' functions away, in each database that the product's role owns.

    Each database has its own privileges on functions.
    """
    async with _administrator(port, credentials, DATABASE) as connection:
        await connection.execute(_GUARD.read_text(encoding="utf-8"))


async def _hand_over(port: int, credentials: Credentials, database: str) -> None:
    async with _administrator(port, credentials, database) as connection, connection.transaction():
        await connection.execute("SELECT set_config('ghostlink.heir', $1, true)", PRODUCT)
        await connection.execute(_HAND_OVER.read_text(encoding="utf-8"))


@asynccontextmanager
async def _administrator(
    port: int, credentials: Credentials, database: str, *, timeout: float = _CONNECT_SECONDS
) -> AsyncIterator[asyncpg.Connection]:
    connection = await server_proof.connect(
        host=LOOPBACK,
        port=port,
        user=SUPERUSER,
        password=credentials.admin,
        database=database,
        timeout=timeout,
        ssl=False,
    )
    try:
        yield connection
    finally:
        await connection.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
