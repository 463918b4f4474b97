"""The work of `bridge db grants`: statements that grant an account exactly the privileges that its service needs."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby

from schemas.config.service import Service
from sinks.postgres.connection import Connection, connection
from sinks.postgres.schema.check import expected_catalogue
from sinks.postgres.schema.privileges import (
    GUARDED,
    KEPT_BY_OWNER,
    Privilege,
    needed_functions,
    needed_own_functions,
    needed_privileges,
)
from sinks.postgres.statements import sql
from sinks.postgres.table_locks import PATIENCE_SECONDS, Tell, locking, log_awaited


async def grant_statements(conn: Connection, role: str, service: Service) -> list[str]:
    """Return the GRANT and REVOKE statements that give this role exactly what its service needs on the current schema.

    The role's other privileges on the schema are revoked.
    """
    expected = expected_catalogue()
    rows = await conn.fetch(sql("grants_objects"), list(expected), role)
    place = await conn.fetchrow(sql("grants_names"), role)
    to = f"TO {place['role']}"
    lines = [f"GRANT CONNECT ON DATABASE {place['database']} {to}"]
    if service is Service.OWNER:
        lines += [
            f"GRANT USAGE, CREATE ON SCHEMA {place['schema']} {to}",
            # Another role could otherwise create a function that the product's statements call instead of their own.
            # Needs a superuser.
            f"REVOKE CREATE ON SCHEMA {place['schema']} FROM PUBLIC",
            # Without this role, the states of other accounts' sessions are hidden, and `bridge top` shows no lanes.
            f"GRANT pg_read_all_stats {to}",
            # Without this role, `end_blocking_sessions` can end no session of another account.
            f"GRANT pg_signal_backend {to}",
            # An administrator may have revoked these functions from PUBLIC. The owner grants locks to the services that
            # need them.
            *(
                f"GRANT EXECUTE ON FUNCTION {one['signature']} {to} WITH GRANT OPTION"
                for one in await conn.fetch(sql("grants_functions"), sorted(KEPT_BY_OWNER))
            ),
        ]
        return lines + [f"ALTER {row['kind']} {row['name']} OWNER {to}" for row in rows if not row["owned"]]
    functions = [row for row in rows if row["kind"] == "FUNCTION"]
    guarded = await conn.fetch(sql("grants_functions"), sorted(GUARDED))
    lines += [
        f"REVOKE CREATE, TEMPORARY ON DATABASE {place['database']} FROM {place['role']}",
        f"REVOKE CREATE ON SCHEMA {place['schema']} FROM {place['role']}",
        f"GRANT USAGE ON SCHEMA {place['schema']} {to}",
        *(f"REVOKE ALL ON {row['name']} FROM {place['role']}" for row in rows if row["kind"] != "FUNCTION"),
        *(f"REVOKE ALL ON FUNCTION {row['name']} FROM {place['role']}" for row in functions),
        # Migrations do this too, but a restore without privileges gives every function back to PUBLIC.
        *(f"REVOKE ALL ON FUNCTION {row['name']} FROM PUBLIC" for row in functions if row["definer"]),
        *(f"REVOKE ALL ON FUNCTION {one['signature']} FROM {place['role']}" for one in guarded),
    ]
    for relation, needed in groupby(sorted(needed_privileges(expected, service)), key=lambda one: one.relation):
        lines.append(f"GRANT {', '.join(_by_column(needed))} ON {relation} {to}")
    called = needed_own_functions(expected, service)
    wanted = [row["name"] for row in functions if row["name"].partition("(")[0] in called]
    wanted += [one["signature"] for one in guarded if {one["name"], one["signature"]} & needed_functions(service)]
    return lines + [f"GRANT EXECUTE ON FUNCTION {name} {to}" for name in wanted]


def _by_column(needed: Iterable[Privilege]) -> Iterator[str]:
    """Yield each needed privilege once, with a list of columns if the service needs it on some columns only."""
    for name, ones in groupby(needed, key=lambda one: one.name):
        columns = ", ".join(one.column for one in ones if one.column)
        yield f"{name} ({columns})" if columns else name


async def grants(
    dsn: str,
    role: str,
    service: Service,
    *,
    apply: bool,
    lock_seconds: float = PATIENCE_SECONDS,
    tell: Tell = log_awaited,
) -> list[str]:
    """Return the statements that grant an account what its service needs, in order; with `apply`, also run them.

    They are run in one transaction, which is tried repeatedly while another session locks a table.

    `tell` is called with a line for each try that times out on a lock. Raises SinkUnavailable, or PreconditionFailed if
    another session locks a table for `lock_seconds`.
    """
    async with connection(dsn, "db grants") as conn:
        lines = await grant_statements(conn, role, service)
        if apply:
            await locking(dsn, conn, f"granting to {role}", partial(_run, conn, lines), seconds=lock_seconds, tell=tell)
    return lines


async def _run(conn: Connection, lines: Iterable[str]) -> None:
    for line in lines:
        await conn.execute(line)
