"""Comparison of a database with the code's needs: schema, months, migrations and the current role's privileges."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from schemas.config.service import Service
from schemas.errors import PreconditionFailed
from sinks.postgres.connection import Connection, connection
from sinks.postgres.schema.migrate import applied, migrations
from sinks.postgres.schema.monthly_partitions import (
    bounds_of,
    default_complaint,
    default_partition,
    months_attached,
    needed,
)
from sinks.postgres.schema.privileges import GUARDED, needed_functions, needed_own_functions, needed_privileges
from sinks.postgres.statements import sql

SNAPSHOT = "schema_snapshot.json"
"""The catalogue of a freshly migrated database; `bridge db snapshot` prints a new one."""

OWN_PREFIX = "x_"
"""The prefix of columns and indexes that an administrator adds to the product's tables; no migration uses it."""

Catalogue = dict[str, dict[str, str]]
"""By relation, then by kind and name: the definition in one line."""

_QUALIFIER = re.compile(r"\b[a-z_][a-z0-9_]*\.(?=[a-z_])")
_OWN_IN_VIEW = re.compile(rf", {OWN_PREFIX}\w+(?=,| FROM )")


async def read_catalogue(conn: Connection) -> Catalogue:
    """Return the catalogue of the current schema, in text that is equal on every version of Postgres."""
    found: Catalogue = {}
    for row in await conn.fetch(sql("catalogue")):
        definition = " ".join(row["definition"].split())
        if row["kind"] == "view":
            # Postgres 16 and newer name a view's columns without their table if only one table is read.
            definition = _QUALIFIER.sub("", definition)
        found.setdefault(row["relation"], {})[f"{row['kind']} {row['name']}"] = definition
    return found


def expected_catalogue() -> Catalogue:
    """Return the catalogue that this build's migrations create."""
    catalogue: Catalogue = json.loads(Path(__file__).with_name(SNAPSHOT).read_text())
    return catalogue


def render(catalogue: Catalogue) -> str:
    """Return the snapshot's text."""
    return json.dumps(catalogue, indent=2, sort_keys=True, ensure_ascii=False)


async def snapshot(dsn: str) -> str:
    """Return the snapshot's text for the current state of this database."""
    async with connection(dsn, "db snapshot") as conn:
        return render(await read_catalogue(conn))


class Differences(NamedTuple):
    """Lines by subject; `ahead` are migrations that only a newer release has.

    `excess` are privileges of the account that its service does not need.
    """

    schema: list[str]
    ahead: list[str]
    months: list[str]
    privileges: list[str]
    excess: list[str]


async def database_differences(dsn: str, *, months_ahead: int, service: Service = Service.OWNER) -> Differences:
    """Return each difference between the database and the code's needs, under the account of this service.

    Raises SinkUnavailable.
    """
    expected = expected_catalogue()
    async with connection(dsn, "db check") as conn:
        have = await applied(conn)
        return Differences(
            [*_behind(have), *compare(expected, await read_catalogue(conn))],
            _ahead(have),
            await _months(conn, months_ahead),
            await _privileges(conn, expected, service),
            [
                *await _excess(conn, expected, service),
                *await _functions_excess(conn, service),
                *await _schema_excess(conn, expected),
            ],
        )


async def check_database(dsn: str, *, months_ahead: int, service: Service = Service.OWNER) -> list[str]:
    """Return one line for each difference between the database and the code's needs; raises SinkUnavailable."""
    found = await database_differences(dsn, months_ahead=months_ahead, service=service)
    return [line for lines in found for line in lines]


async def excess_privileges(dsn: str, service: Service) -> list[str]:
    """Return the account's privileges that its service does not need, a line each; raises SinkUnavailable."""
    async with connection(dsn, "start") as conn:
        return await _excess(conn, expected_catalogue(), service)


async def blocking_differences(dsn: str, service: Service) -> list[str]:
    """Return the differences with which this build must not run as this service; raises SinkUnavailable.

    Additional indexes are an administrator's choice, and months ahead can still be created. A database migrated by a
    newer release supports the release before, so the catalogue is not compared.
    """
    expected = expected_catalogue()
    async with connection(dsn, "start") as conn:
        catalogue = expected if _ahead(await applied(conn)) else await read_catalogue(conn)
        return [
            *compare(expected, catalogue, extra_indexes=False),
            *await _months(conn, 0, blocking=True),
            *await _privileges(conn, expected, service),
        ]


def compare(expected: Catalogue, found: Catalogue, *, extra_indexes: bool = True) -> list[str]:
    """Return the differences between two catalogues; relations that only the database has are ignored.

    Comments are ignored too, and columns and indexes with OWN_PREFIX that can't fail a write.
    """
    lines = []
    for relation in sorted(expected):
        wanted, have = _compared(expected[relation]), _compared(found.get(relation, {}))
        if not have:
            kind = next((name for name in wanted if name.endswith(f" {relation}")), f"relation {relation}")
            lines.append(f"{kind}: missing")
            continue
        for name in sorted({*wanted, *have}):
            if name not in have:
                lines.append(f"{name}: missing; expected {wanted[name]}")
            elif name not in wanted:
                if _is_own(name, have[name]) or (name.startswith("index ") and not extra_indexes):
                    continue
                lines.append(f"{name}: not expected; found {have[name]}")
            elif have[name] != wanted[name]:
                lines.append(f"{name}: is {have[name]}; expected {wanted[name]}")
    return lines


def _compared(things: dict[str, str]) -> dict[str, str]:
    """Return the definitions to compare: no comments, and views without own columns, as columns are compared."""
    return {
        name: _OWN_IN_VIEW.sub("", definition) if name.startswith("view ") else definition
        for name, definition in things.items()
        if not name.startswith("comment ")
    }


def _is_own(name: str, definition: str) -> bool:
    """Return whether it is an administrator's column or index that does not affect writers who don't know it."""
    kind, _, path = name.partition(" ")
    if not path.rpartition(".")[2].startswith(OWN_PREFIX):
        return False
    if kind == "column":
        return " not null" not in definition or " default " in definition
    return kind == "index" and " UNIQUE INDEX " not in definition and not definition.endswith(" invalid")


def _behind(have: dict[str, str]) -> Iterable[str]:
    for one in migrations():
        if one.name not in have:
            yield f"migration {one.name}: not applied; run `bridge db migrate`"
        elif have[one.name] != one.checksum:
            yield f"migration {one.name}: was changed after it was applied"


def _ahead(have: dict[str, str]) -> list[str]:
    return [
        f"migration {name}: applied, but this build does not know it; the database is newer than the code"
        for name in sorted(have.keys() - {one.name for one in migrations()})
    ]


async def _months(conn: Connection, ahead: int, *, blocking: bool = False) -> list[str]:
    is_attached = await months_attached(conn)
    lines = []
    for first in needed(datetime.now(UTC).date(), ahead):
        wanted = bounds_of(first)
        if not is_attached(first):
            lines.append(f"partition bridge_event_{first:%Y_%m}: missing; expected {wanted}; run `bridge db migrate`")
    if (default := await default_partition(conn)) and (lines or not blocking):
        lines.append(f"partition {default}: not expected; {default_complaint(default)}")
    return lines


async def _privileges(conn: Connection, expected: Catalogue, service: Service) -> list[str]:
    wanted = sorted(needed_privileges(expected, service))
    role = await conn.fetchval("SELECT current_user")
    tables = await conn.fetch(sql("privileges_missing"), *map(list, zip(*wanted, strict=True)))
    functions = sorted(needed_functions(service) | needed_own_functions(expected, service))
    others = await conn.fetch(sql("execute_missing"), functions)
    return [f"role {role}: lacks {row['privilege']} on {row['relation']}" for row in tables] + [
        f"role {role}: lacks {row['missing']}" for row in others
    ]


async def privileges_to_come(dsn: str, service: Service) -> list[str]:
    """Return the privileges that the account will lack on objects of pending migrations; raises SinkUnavailable.

    Empty if it owns the existing objects, since it then owns new ones too.
    """
    expected = expected_catalogue()
    async with connection(dsn, "db check") as conn:
        if await conn.fetchval(sql("migrations_owned")):
            return []
        wanted = sorted(needed_privileges(expected, service))
        rows = await conn.fetch(sql("relations_missing"), *map(list, zip(*wanted, strict=True)))
        role = await conn.fetchval("SELECT current_user")
    return [
        f"role {role}: will lack {row['privilege']} on {row['relation']}, which a pending migration makes"
        for row in rows
    ]


async def _excess(conn: Connection, expected: Catalogue, service: Service) -> list[str]:
    """Return nothing for the owner, who may do everything."""
    if service is Service.OWNER:
        return []
    wanted = sorted(needed_privileges(expected, service))
    role = await conn.fetchval("SELECT current_user")
    rows = await conn.fetch(sql("privileges_excess"), list(expected), *map(list, zip(*wanted, strict=True)))
    return [f"role {role}: {row['line']}" for row in rows]


async def _functions_excess(conn: Connection, service: Service) -> list[str]:
    """Return excess functions apart, as they don't block a start: not every administrator can revoke from PUBLIC."""
    if service is Service.OWNER:
        return []
    role = await conn.fetchval("SELECT current_user")
    rows = await conn.fetch(sql("functions_excess"), sorted(GUARDED), sorted(needed_functions(service)))
    return [f"role {role}: {row['line']}" for row in rows]


async def _schema_excess(conn: Connection, expected: Catalogue) -> list[str]:
    """Return excess rights on the schema and objects of other roles in it, for every service.

    A function that another role creates there could run with the rights of the service whose statement resolves to it.
    """
    return [row["line"] for row in await conn.fetch(sql("schema_excess"), list(expected))]


async def migration_status(dsn: str) -> tuple[list[tuple[str, datetime]], list[str]]:
    """Return the applied migrations with their times, and the names of the pending ones.

    Raises PreconditionFailed if an applied migration was changed afterwards.
    """
    async with connection(dsn, "db status") as conn:
        have = await applied(conn)
        rows = await conn.fetch(sql("migrations_applied")) if have else []
    changed = [one.name for one in migrations() if have.get(one.name, one.checksum) != one.checksum]
    if changed:
        raise PreconditionFailed(
            f"migration {changed[0]} was changed after it was applied; restore the file and add a new migration"
        )
    return [(row["name"], row["applied_at"]) for row in rows], [
        one.name for one in migrations() if one.name not in have
    ]
