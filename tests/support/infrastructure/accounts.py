"""Database accounts with exactly the grants of their service, as `bridge db grants` gives them."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from schemas.config.service import Service
from sinks.postgres.schema.grants import grants
from sinks.postgres.schema.privileges import ADVISORY
from support.infrastructure.databases import run_apart
from support.processes.programs import CHECKOUT

GUARD: Final = (CHECKOUT / "bridge" / "dev" / "stack" / "guard.sql").read_text()
"""Revokes from PUBLIC the same rights as deploy/postgres/accounts.sql."""
LOCKS: Final = {
    Service.WORKER: {("pg_try_advisory_lock", "1"), ("pg_advisory_lock", "1, 2")},
    Service.API: {("pg_try_advisory_lock", "1")},
}
"""The advisory locks that services take with their own rights, each in one form: those of runs and of claims."""


def not_needed(service: Service) -> list[str]:
    """List statements that a service doesn't need and that fill shared memory, the WAL or the disk without any grant."""
    return [
        *(
            f"SELECT {name}({key})"
            for name in sorted(ADVISORY)
            for key in ("1", "1, 2")
            if (name, key) not in LOCKS.get(service, set())
        ),
        "SELECT pg_logical_emit_message(false, 'x', 'x')",
        "SELECT pg_logical_emit_message(true, 'x', ''::bytea)",
        "SELECT pg_export_snapshot()",
    ]


async def execute(url: str, *statements: str) -> None:
    """Run the statements one by one."""
    conn = await asyncpg.connect(url)
    try:
        for statement in statements:
            await conn.execute(statement)
    finally:
        await conn.close()


async def value_of(url: str, statement: str) -> object:
    """Return the statement's single value under this account."""
    conn = await asyncpg.connect(url)
    try:
        return await conn.fetchval(statement)
    finally:
        await conn.close()


def as_account(url: str, name: str, password: str) -> str:
    """Return the same database's URL for another account."""
    place = urlsplit(url)
    return place._replace(netloc=f"{name}:{password}@{place.hostname}:{place.port}").geturl()


@contextmanager
def account(url: str, service: Service | None, *, guarded: bool = True) -> Iterator[str]:
    """Create an account of this service, or one without grants for None; yield the database's URL for it.

    `guarded` revokes from all accounts the rights that accounts.sql of this release revokes.
    """
    name, password = f"t_{service or 'none'}_{secrets.token_hex(4)}", secrets.token_hex(8)
    place = urlsplit(url)
    owner, database = place.username, place.path[1:]
    # As deploy/postgres/accounts.sql does.
    alone = f'REVOKE TEMPORARY ON DATABASE "{database}" FROM PUBLIC'
    run_apart(execute(url, f"CREATE ROLE {name} LOGIN PASSWORD '{password}'", alone, *([GUARD] if guarded else [])))
    try:
        if service is not None:
            run_apart(grants(url, name, service, apply=True))
        yield as_account(url, name, password)
    finally:
        # Objects go back to the owner; the fixture that created the database drops it.
        run_apart(execute(url, f"REASSIGN OWNED BY {name} TO {owner}", f"DROP OWNED BY {name}", f"DROP ROLE {name}"))
