"""Checks of Postgres: a writable server with free connections, and a schema that fits the code."""

from collections.abc import Iterable
from functools import partial

from bridge.doctor.check import Check, Finding, Findings, each, fail, ok, warn
from schemas.config.addresses import database_address
from schemas.config.service import PROCESSES, Service
from schemas.config.settings import Settings
from sinks.postgres.errors import POOLED
from sinks.postgres.poolers import shares_sessions
from sinks.postgres.schema.check import Differences, database_differences
from sinks.postgres.stats.server import LongTransaction, Server, long_transactions, server

OLDEST_VERSION = 15
LONG_SECONDS = 300.0
# Connections in addition to those of the lanes: registry, verdict, months, and an operator's commands.
_OTHER_CONNECTIONS = 6
_FULL_QUEUE = 0.5


async def _server(settings: Settings) -> Findings:
    facts = await server(settings.dsn)
    yield judge_server(facts)
    yield judge_account(settings, facts)
    yield [judge_connections(settings, facts), judge_notifications(facts)]


def judge_server(facts: Server) -> Iterable[Finding]:
    """Check the server's version, that it is writable, and that its commits are durable."""
    if facts.major < OLDEST_VERSION:
        yield fail("server", f"PostgreSQL {facts.version} is too old", f"upgrade it to {OLDEST_VERSION} or newer")
    else:
        yield ok("server", f"PostgreSQL {facts.version}, {facts.size}{', TLS' if facts.encrypted else ''}")
    if facts.in_recovery:
        yield fail("writable", "the server is a standby in recovery", "point BRIDGE_DATABASE_URL at the primary")
    elif facts.read_only:
        mend = "reset default_transaction_read_only on the server, the database and the role"
        yield fail("writable", "transactions are read-only", mend)
    else:
        yield ok("writable", "takes writes")
    off = [name for name, on in (("fsync", facts.fsync), ("full_page_writes", facts.full_page_writes)) if not on]
    if off:
        yield fail("durable", f"{' and '.join(off)} off; a crash may destroy the data", "turn it on")
    elif not facts.synchronous_commit:
        yield warn("durable", "synchronous_commit is off; a crash loses committed transactions", "turn it on")
    else:
        yield ok("durable", "a commit stays")


def judge_account(settings: Settings, facts: Server) -> Iterable[Finding]:
    """Outside of development, report an account of a superuser, and a server whose certificate is not verified."""
    if settings.env == "development":
        return
    if facts.superuser:
        mend = "give each service a separate account, with `bridge db grants ROLE --service ...`"
        yield warn("account", f"{facts.role} is a superuser, or passes row-level security", mend)
    if not database_address(settings.dsn).sslmode.startswith("verify"):
        found = "the certificate of the server is not verified, so the server is not authenticated"
        yield warn("certificate", found, "add sslmode=verify-full and sslrootcert to BRIDGE_DATABASE_URL")


def judge_connections(settings: Settings, facts: Server) -> Finding:
    """Check that one more worker could connect."""
    processes = settings.worker_processes
    wanted = max(settings.lanes, processes) + _OTHER_CONNECTIONS * processes
    found = f"{facts.connections_left} connections left"
    if facts.connections_left < wanted:
        mend = "close idle connections, raise max_connections or the role's limit, or lower BRIDGE_LANES"
        return warn("connections", f"{found}; one more worker needs {wanted}", mend)
    return ok("connections", found)


def judge_notifications(facts: Server) -> Finding:
    """Check the notification queue, which every account can fill. When it is full, processes see changes later."""
    found = f"the queue of notifications is {facts.notifications:.0%} full"
    if facts.notifications > _FULL_QUEUE:
        mend = "end the listening session with the longest transaction; until then, changes are found within BRIDGE_REGISTRY_REFRESH"
        return warn("notifications", found, mend)
    return ok("notifications", found)


async def _pooler(settings: Settings) -> Findings:
    if await shares_sessions(settings.dsn):
        found, _, mend = POOLED.partition(": ")
        yield [fail("sessions", found, mend)]
    else:
        yield [ok("sessions", "each stays with its connection")]


async def _transactions(settings: Settings) -> Findings:
    yield judge_transactions(await long_transactions(settings.dsn, LONG_SECONDS))


def judge_transactions(found: list[LongTransaction]) -> Iterable[Finding]:
    """Report long transactions: they keep vacuum from removing rows, and may hold locks for which commits wait."""
    for one in found:
        state = f"{one.who} is open for {one.seconds / 60:.0f} min ({one.state})"
        yield warn("transactions", state, one.remedy)
    if not found:
        none = f"none is open for more than {LONG_SECONDS / 60:.0f} min, among those that this account can see"
        yield ok("transactions", none)


async def _schema(service: Service | None, settings: Settings) -> Findings:
    """Compare the database's schema with the code, and the account's privileges with those that `service` needs.

    If `service` is not known, compare with the first service for which the privileges are enough, or else with the
    needs of the schema's owner.
    """
    wanted = (Service.OWNER, *PROCESSES) if service is None else (service,)
    found = {
        one: await database_differences(settings.dsn, months_ahead=settings.partitions_ahead, service=one)
        for one in wanted
    }
    fitting = next((one for one, differences in found.items() if not differences.privileges), wanted[0])
    yield judge_schema(found[fitting], fitting)


def judge_schema(found: Differences, service: Service) -> Iterable[Finding]:
    """Judge the schema, the tables' monthly partitions and the account's privileges, each in its own finding."""
    yield from judge_catalogue(found)
    mend = f"run `bridge db grants ROLE --service {service} --apply` as the schema's owner"
    yield from each(fail, "privileges", found.privileges, mend)
    yield from each(warn, "privileges", found.excess, mend)
    if not found.privileges and not found.excess:
        yield ok("privileges", f"as the {service} needs")


def judge_catalogue(found: Differences) -> Iterable[Finding]:
    """Judge the schema and the monthly partitions of its tables. Pending migrations are reported alone."""
    behind = [line for line in found.schema if line.startswith("migration")]
    yield from each(fail, "schema", behind or found.schema, "run `bridge db migrate`; see `bridge db check`")
    yield from each(warn, "schema", found.ahead, "deploy the release to which the database was migrated")
    if not found.schema and not found.ahead:
        yield ok("schema", "as needed")
    yield from each(fail, "months", found.months, "run `bridge db migrate` as the schema's owner")
    if not found.months:
        yield ok("months", "as needed")


def checks(service: Service | None) -> tuple[Check, ...]:
    """Return the checks for the database account of `service`; None means that the service is not known."""
    return (
        Check("postgres", "server", _server, connects=True),
        Check("postgres", "sessions", _pooler, connects=True),
        Check("postgres", "transactions", _transactions, connects=True),
        Check("postgres", "schema", partial(_schema, service), connects=True),
    )
