"""The snapshot that a dump shows: what else is in it, for the manifest, and the counts of all tables."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

from schemas.documents.backup_manifest import StoredPosition
from sinks.postgres.connection import Connection, connection
from sinks.postgres.schema.check import read_catalogue
from sinks.postgres.schema.migrate import applied
from sinks.postgres.statements import sql

_PARENTHESES = str.maketrans("", "", "()")


class SnapshotFacts(NamedTuple):
    """What the manifest says of the database, as in the snapshot of the dump. `snapshot` is the name of the snapshot."""

    database: str
    schema_name: str
    version: str
    major: int
    taken_at: datetime
    snapshot: str
    migrations: list[str]
    catalogue_sha256: str
    roles: list[str]
    positions: list[StoredPosition]


class ExportedSnapshot:
    """An open transaction whose snapshot other sessions can use, such as that of pg_dump."""

    def __init__(self, conn: Connection, facts: SnapshotFacts) -> None:
        self._conn = conn
        self.facts = facts

    async def count(self) -> dict[str, int]:
        """Return the number of rows of each table, in this snapshot."""
        return await count_tables(self._conn)


@asynccontextmanager
async def exported_snapshot(dsn: str) -> AsyncIterator[ExportedSnapshot]:
    """Export a snapshot for the `with` block; raises SinkUnavailable."""
    async with connection(dsn, "backup") as conn:
        has_events = await conn.fetchval("SELECT to_regclass('bridge_event') IS NOT NULL")
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            if has_events:
                # Before the snapshot: the dump would lack a month that is removed after the snapshot and before the dump locks it.
                await conn.execute(sql("audit_events_lock"))
            yield await _exported(conn)


async def _exported(conn: Connection) -> ExportedSnapshot:
    await conn.execute(sql("backup_session"))
    row = await conn.fetchrow(sql("backup_facts"))
    facts = SnapshotFacts(
        **dict(row),
        migrations=sorted(await applied(conn)),
        catalogue_sha256=await catalogue_digest(conn),
        roles=[one["role"] for one in await conn.fetch(sql("backup_roles"))],
        positions=[StoredPosition(**dict(one)) for one in await conn.fetch(sql("backup_positions"))],
    )
    return ExportedSnapshot(conn, facts)


async def count_tables(conn: Connection) -> dict[str, int]:
    """Return the number of rows of each table of the current schema."""
    counted = {}
    for row in await conn.fetch(sql("backup_tables")):
        name = row["name"]
        quoted = '"' + name.replace('"', '""') + '"'
        counted[name] = await conn.fetchval(sql("backup_count") % {"table": quoted})
    return counted


async def catalogue_digest(conn: Connection) -> str:
    """Return a digest of the definitions of the current schema, the same on every version of Postgres.

    Parentheses are left out: after a dump and restore Postgres may render an expression with others.
    """
    text = json.dumps(await read_catalogue(conn), sort_keys=True).translate(_PARENTHESES)
    return hashlib.sha256(text.encode()).hexdigest()
