"""The comparison of a database with what this release needs: schema, monthly partitions, migrations and privileges."""

import json
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from schemas.config.service import Service
from sinks.postgres.connection import Connection, connection
from sinks.postgres.schema.migrate import applied, migrations, missing
from sinks.postgres.schema.monthly_partitions import bounds_of, default_complaint, default_partition, months_missing
from sinks.postgres.schema.privileges import GUARDED, needed_functions, needed_own_functions, needed_privileges
from sinks.postgres.statements import sql

SNAPSHOT = "schema_snapshot.json"
"""The catalogue of a database to which all migrations have been applied. `bridge db snapshot` prints a new one."""

OWN_PREFIX = "x_"
"""The prefix for columns and indexes that an administrator adds to the product's tables. No migration uses it."""

Catalogue = dict[str, dict[str, str]]
"""Definitions, one line each, by relation, then by kind and name."""

_QUALIFIER = re.compile(r"\b[a-z_][a-z0-9_]*\.(?=[a-z_])")
_OWN_IN_VIEW = re.compile(rf", {OWN_PREFIX}\w+(?=,| FROM )")


async def read_catalogue(conn: Connection) -> Catalogue:
    """Return the catalogue of the current schema, as text that is the same on every version of Postgres."""
    found: Catalogue = {}
    for row in await conn.fetch(sql("catalogue")):
        definition = " ".join(row["definition"].split())
        if row["kind"] == "view":
            # Since version 16, Postgres omits the table's name before a view's columns if the view reads only one
            # table.
            definition = _QUALIFIER.sub("", definition)
        found.setdefault(row["relation"], {})[f"{row['kind']} {row['name']}"] = definition
    return found


def expected_catalogue() -> Catalogue:
    """Return the catalogue that this build's migrations create."""
    catalogue: Catalogue = json.loads(Path(__file__).with_name(SNAPSHOT).read_text())
    return catalogue


async def snapshot(dsn: str) -> str:
    """Return the text of a snapshot of this database's catalogue."""
    async with connection(dsn, "db snapshot") as conn:
        return json.dumps(await read_catalogue(conn), indent=2, sort_keys=True, ensure_ascii=False)


class Differences(NamedTuple):
    """Differences between a database and what this release needs, as lines of text, by subject.

    `ahead` are applied migrations that only a newer release has. `excess` are privileges that the account has and its
    service does not need.
    """

    schema: list[str]
    ahead: list[str]
    months: list[str]
    privileges: list[str]
    excess: list[str]


async def database_differences(dsn: str, *, months_ahead: int, service: Service = Service.OWNER) -> Differences:
    """Return the differences between the database and what this release needs under the account of the service.

    Raises SinkUnavailable.
    """
    expected = expected_catalogue()
    async with connection(dsn, "db check") as conn:
        have = await applied(conn)
        schema = [*_behind(have), *compare(expected, await read_catalogue(conn))]
        months = await _months(conn, months_ahead)
        lacking = await _privileges(conn, expected, service)
        excess = await _excess(conn, expected, service) + await _functions_excess(conn, expected, service)
        return Differences(schema, _ahead(have), months, lacking, excess + await _schema_excess(conn, expected))


async def check_database(dsn: str, *, months_ahead: int, service: Service = Service.OWNER) -> list[str]:
    """Return a line for each difference between the database and this release's needs; raises SinkUnavailable."""
    found = await database_differences(dsn, months_ahead=months_ahead, service=service)
    return [line for lines in found for line in lines]


async def excess_privileges(dsn: str, service: Service) -> list[str]:
    """Return a line for each privilege of the account that its service does not need; raises SinkUnavailable."""
    async with connection(dsn, "start") as conn:
        return await _excess(conn, expected_catalogue(), service)


async def blocking_differences(dsn: str, service: Service) -> list[str]:
    """Return the differences of the database that prevent a start of the service; raises SinkUnavailable.

    Other differences don't prevent a start. An administrator may add indexes. Missing monthly partitions can still be
    created. A database that the next release has migrated also works with this release, so its tables and columns are
    not compared.
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
    """Return the differences between two catalogues: the descriptions of a database's tables, columns and indexes.

    Relations that only the database has are ignored. Comments are ignored too. Columns and indexes whose names begin
    with OWN_PREFIX are ignored if they can't make a write fail.
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
    """Return the definitions to compare: without comments, and without an administrator's columns in views."""
    return {
        name: _OWN_IN_VIEW.sub("", definition) if name.startswith("view ") else definition
        for name, definition in things.items()
        if not name.startswith("comment ")
    }


def _is_own(name: str, definition: str) -> bool:
    """Return whether this is an administrator's column or index that no write of the product can violate."""
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
    lines = [
        f"partition bridge_event_{first:%Y_%m}: missing; expected {bounds_of(first)}; run `bridge db migrate`"
        for first in await months_missing(conn, ahead)
    ]
    if (default := await default_partition(conn)) and (lines or not blocking):
        lines.append(f"partition {default}: not expected; {default_complaint(default)}")
    return lines


async def _privileges(conn: Connection, expected: Catalogue, service: Service) -> list[str]:
    tables = await conn.fetch(sql("privileges_missing"), *_needed_columns(expected, service))
    functions = sorted(needed_functions(service) | needed_own_functions(expected, service))
    others = await conn.fetch(sql("execute_missing"), functions)
    lacking = [f"{row['privilege']} on {row['relation']}" for row in tables] + [row["missing"] for row in others]
    return await _of_role(conn, (f"lacks {one}" for one in lacking))


def _needed_columns(expected: Catalogue, service: Service) -> list[list[str]]:
    """Return relations, names and columns of the privileges that the service needs, as a statement's arguments."""
    return [list(column) for column in zip(*sorted(needed_privileges(expected, service)), strict=True)]


async def _of_role(conn: Connection, lines: Iterable[str]) -> list[str]:
    role = await conn.fetchval("SELECT current_user")
    return [f"role {role}: {line}" for line in lines]


async def privileges_to_come(dsn: str, service: Service) -> list[str]:
    """Return the privileges that the account will lack on objects that pending migrations create.

    Nothing is returned if the account owns the existing objects, because it will own the new objects too. Raises
    SinkUnavailable.
    """
    expected = expected_catalogue()
    async with connection(dsn, "db check") as conn:
        if await conn.fetchval(sql("migrations_owned")):
            return []
        rows = await conn.fetch(sql("relations_missing"), *_needed_columns(expected, service))
        lacking = [f"will lack {row['privilege']} on {row['relation']}" for row in rows]
        return await _of_role(conn, (f"{one}, which a pending migration creates" for one in lacking))


async def _excess(conn: Connection, expected: Catalogue, service: Service) -> list[str]:
    """Return the privileges that the account has and its service does not need; none for the schema's owner."""
    if service is Service.OWNER:
        return []
    rows = await conn.fetch(sql("privileges_excess"), list(expected), *_needed_columns(expected, service))
    return await _of_role(conn, (row["line"] for row in rows))


async def _functions_excess(conn: Connection, expected: Catalogue, service: Service) -> list[str]:
    """Return privileges on functions that the account has and its service does not need.

    They are listed separately because they don't prevent a start: not every administrator can revoke from PUBLIC.
    """
    if service is Service.OWNER:
        return []
    own = sorted(name.removesuffix("()") for name in expected if name.endswith("()"))
    needed = sorted(needed_functions(service)), own, sorted(needed_own_functions(expected, service))
    rows = await conn.fetch(sql("functions_excess"), sorted(GUARDED), *needed)
    return await _of_role(conn, (row["line"] for row in rows))


async def _schema_excess(conn: Connection, expected: Catalogue) -> list[str]:
    """Return unneeded rights on the schema, and objects in the schema that belong to other roles than its owner.

    A function that another role creates in the schema may be called by a service's statement, with the service's
    rights. This check is therefore the same for every service.
    """
    return [row["line"] for row in await conn.fetch(sql("schema_excess"), list(expected))]


async def migration_status(dsn: str) -> tuple[list[tuple[str, datetime]], list[str]]:
    """Return the applied migrations with their times, and the names of the pending ones.

    Raises PreconditionFailed if an applied migration was changed afterwards.
    """
    async with connection(dsn, "db status") as conn:
        have = await applied(conn)
        rows = await conn.fetch(sql("migrations_applied")) if have else []
    pending = [one.name for one in missing(have)]
    return [(row["name"], row["applied_at"]) for row in rows], pending
