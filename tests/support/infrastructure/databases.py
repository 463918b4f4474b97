"""Creation and removal of test databases, also from code in an event loop."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from urllib.parse import urlsplit

import asyncpg

from bridge.dev.stack import StackAddresses
from bridge.dev.stack.databases import DATABASE

Result = TypeVar("Result")

LOCK_AWAITED = """\
SELECT count(*) > 0 FROM pg_locks AS awaited JOIN pg_locks AS other USING (pid)
WHERE NOT awaited.granted AND awaited.locktype <> 'advisory'
  AND other.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
"""Whether a session of this database waits for a lock on rows or a table; a row lock itself has no database.

`pg_stat_activity` has the same information, but within a transaction only as of its first read.
"""


def run_apart(work: Coroutine[object, object, Result]) -> Result:
    """Run the coroutine in a thread with its own loop, apart from the test's loop."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, work).result()


def with_database(url: str, name: str) -> str:
    """Return the same server's URL for another database."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def beside(url: str) -> str:
    """Return the URL of the stack's own database for the same account; faults of a test's database don't affect it."""
    return with_database(url, DATABASE)


def as_admin(stack: StackAddresses, url: str) -> str:
    """Return the URL of the same database for the superuser, who creates accounts."""
    return with_database(stack.admin_database_url, urlsplit(url).path.removeprefix("/"))


def create_database(stack: StackAddresses, name: str, *, template: str | None = None) -> str:
    """Create the database for the product's role; return its URL for that role."""
    copied = f' TEMPLATE "{template}"' if template else ""
    owner = urlsplit(stack.database_url).username
    run_apart(_execute(stack.admin_database_url, f'CREATE DATABASE "{name}" OWNER "{owner}"{copied}'))
    return with_database(stack.database_url, name)


def drop_database(stack: StackAddresses, name: str) -> None:
    """Drop the database, and end the sessions that are still connected to it."""
    run_apart(_execute(stack.admin_database_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg://", "postgresql://", 1), timeout=30)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
