"""The doctor on Postgres: a server that may be written to, with room, and a schema that the code fits."""

from collections.abc import AsyncIterator, Iterable
from typing import Final

from bridge.doctor.check import Check, Finding, each, fail, ok, warn
from schemas.addresses import database_address
from schemas.settings import Settings
from sinks.db_check import Differences, database_differences
from sinks.vitals import LongTransaction, Server, long_transactions, server

OLDEST_VERSION = 15
LONG_SECONDS = 300.0
# Beside the lanes: registry, verdict, months, and an operator's commands.
_OTHER_CONNECTIONS = 6


async def _server(settings: Settings) -> AsyncIterator[Finding]:
    facts = await server(settings.dsn)
    for finding in (*judge_server(facts), *judge_account(settings, facts), *judge_connections(settings, facts)):
        yield finding


def judge_server(facts: Server) -> Iterable[Finding]:
    """Version, whether it takes writes, and whether what it commits stays."""
    if facts.major < OLDEST_VERSION:
        yield fail("server", f"PostgreSQL {facts.version} is too old", f"upgrade it to {OLDEST_VERSION} or newer")
    else:
        yield ok("server", f"PostgreSQL {facts.version}, {facts.size}{', TLS' if facts.encrypted else ''}")
    if facts.in_recovery:
        yield fail("writable", "it is a standby in recovery", "point BRIDGE_DATABASE_URL at the primary")
    elif facts.read_only:
        mend = "reset default_transaction_read_only on the server, the database and the role"
        yield fail("writable", "its transactions are read-only", mend)
    else:
        yield ok("writable", "takes writes")
    off = [name for name, on in (("fsync", facts.fsync), ("full_page_writes", facts.full_page_writes)) if not on]
    if off:
        yield fail("durable", f"{' and '.join(off)} off: a crash may destroy the data", "turn it on")
    elif not facts.synchronous_commit:
        yield warn("durable", "synchronous_commit is off: a crash takes back what was committed", "turn it on")
    else:
        yield ok("durable", "a commit stays")


def judge_account(settings: Settings, facts: Server) -> Iterable[Finding]:
    """Where it matters: no superuser, and a server whose certificate is looked at."""
    if settings.env == "development":
        return
    if facts.superuser:
        mend = "give the workers a role that owns nothing; `bridge db check` names what it needs"
        yield warn("account", f"{facts.role} is a superuser, or passes row-level security", mend)
    if not database_address(settings.dsn).sslmode.startswith("verify"):
        mend = "add sslmode=verify-full and sslrootcert to BRIDGE_DATABASE_URL"
        yield warn("certificate", "whoever answers is believed: its certificate is not verified", mend)


def judge_connections(settings: Settings, facts: Server) -> Iterable[Finding]:
    """Whether one more worker could connect."""
    wanted = settings.lanes + _OTHER_CONNECTIONS
    found = f"{facts.connections_left} connections left"
    if facts.connections_left < wanted:
        mend = "close idle ones, raise max_connections or the role's limit, or lower BRIDGE_LANES"
        yield warn("connections", f"{found}, one more worker takes {wanted}", mend)
    else:
        yield ok("connections", found)


async def _transactions(settings: Settings) -> AsyncIterator[Finding]:
    for finding in judge_transactions(await long_transactions(settings.dsn, LONG_SECONDS)):
        yield finding


def judge_transactions(found: list[LongTransaction]) -> Iterable[Finding]:
    """Old transactions hold back vacuum, and may hold locks that settlements wait for."""
    for one in found:
        told = f"{one.who} is open for {one.seconds / 60:.0f} min ({one.state})"
        yield warn("transactions", told, one.remedy)
    if not found:
        yield ok("transactions", f"none longer than {LONG_SECONDS / 60:.0f} min among those that this account may see")


async def _schema(settings: Settings) -> AsyncIterator[Finding]:
    differences = await database_differences(settings.dsn, months_ahead=settings.partitions_ahead)
    for finding in judge_schema(differences):
        yield finding


def judge_schema(found: Differences) -> Iterable[Finding]:
    """Schema, months and privileges, each by itself; a schema behind explains whatever else it lacks."""
    behind = [line for line in found.schema if line.startswith("migration")]
    yield from each(fail, "schema", behind or found.schema, "run `bridge db migrate`; see `bridge db check`")
    yield from each(warn, "schema", found.ahead, "deploy the release that the database was migrated for")
    if not found.schema and not found.ahead:
        yield ok("schema", "as needed")
    for check, lines, mend in (
        ("months", found.months, "run `bridge db migrate` as the schema's owner"),
        ("privileges", found.privileges, "grant it as the schema's owner"),
    ):
        yield from each(fail, check, lines, mend)
        if not lines:
            yield ok(check, "as needed")


CHECKS: Final = (
    Check("postgres", "server", _server),
    Check("postgres", "transactions", _transactions),
    Check("postgres", "schema", _schema),
)
