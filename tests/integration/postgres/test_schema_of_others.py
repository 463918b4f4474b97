"""Only the owner creates functions in the schema that the product's statements search; other rights are reported."""

import asyncio
from urllib.parse import urlsplit

import asyncpg
import pytest
from support.infrastructure.accounts import account, execute, value_of
from support.infrastructure.databases import as_admin
from support.processes.command import bridge
from support.processes.programs import CHECKOUT

from bridge.dev.stack import StackAddresses
from schemas.config.service import Service
from sinks.postgres.connection import connection
from sinks.postgres.runs.history import run_lock
from sinks.postgres.schema.check import check_database
from sinks.postgres.schema.grants import grants
from sinks.postgres.schema.migrate import migrate

ACCOUNTS = (CHECKOUT / "deploy" / "postgres" / "accounts.sql").read_text()
UPGRADED = "GRANT CREATE ON SCHEMA public TO PUBLIC"
"""The grant that pg_upgrade keeps from Postgres 14 and older."""
MAY = "SELECT has_schema_privilege('public', 'CREATE')"
NAMED = "every role has CREATE on schema public: "
REPLACES = "can take the place of one of Postgres in statements: see what it does, and drop it"
SHADOW = """
CREATE FUNCTION public.hashtextextended(text, int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'executed by %', current_user;
END
$$
"""


@pytest.fixture
def database_url(stack: StackAddresses, database_url: str) -> str:
    """The superuser's URL, which creates the accounts."""
    return as_admin(stack, database_url)


async def test_a_function_of_others_takes_no_place_of_postgres_own(database_url: str) -> None:
    """A call with exact types of Postgres' own function resolves to that one; the check reports the other."""
    await execute(database_url, UPGRADED)
    with account(database_url, Service.READER) as url:
        await execute(url, SHADOW)
        async with run_lock(database_url, "dlq-discard", "all"):
            pass
        role = urlsplit(url).username
        lines = await check_database(url, months_ahead=2, service=Service.READER)
        assert [one for one in lines if "can take the place of one of Postgres" in one] == [
            f"function hashtextextended(text,integer) of role {role} {REPLACES}"
        ]


async def test_who_may_make_functions_is_named_until_it_is_taken(database_url: str) -> None:
    """Each service's check and the doctor report the right; the owner's grants and a migration revoke it."""
    with account(database_url, Service.WORKER) as url, account(database_url, None) as other:
        stranger = urlsplit(other).username or ""
        await execute(database_url, UPGRADED, f"GRANT CREATE ON SCHEMA public TO {stranger}")
        for service, place in ((Service.WORKER, url), (Service.OWNER, database_url)):
            lines = await check_database(place, months_ahead=2, service=service)
            assert [one.partition(": ")[0] + ": " for one in lines if "REVOKE CREATE ON SCHEMA" in one] == [
                NAMED, f"role {stranger} has CREATE on schema public: ",
            ]  # fmt: skip
        settings = {"BRIDGE_DATABASE_URL": database_url}
        told = await asyncio.to_thread(bridge, "db", "check", settings=settings)
        assert NAMED.encode() in told.stdout + told.stderr
        told = await asyncio.to_thread(bridge, "doctor", settings=settings)
        assert NAMED.encode() in told.stdout, told.stderr
        await execute(database_url, f"REVOKE CREATE ON SCHEMA public FROM {stranger}")
        owner = urlsplit(database_url).username or ""
        await grants(database_url, owner, Service.OWNER, apply=True)
        assert await check_database(url, months_ahead=2, service=Service.WORKER) == []


async def test_a_migration_takes_what_an_upgrade_has_left(stack: StackAddresses, empty_database: str) -> None:
    """A migration revokes the right where it can; elsewhere it continues, and the check reports the right.

    The script that creates the accounts revokes it as well.
    """
    assert "\nREVOKE CREATE ON SCHEMA public FROM PUBLIC;\n" in ACCOUNTS
    url = as_admin(stack, empty_database)
    with account(url, Service.OWNER) as owner:
        await execute(url, UPGRADED)
        await migrate(owner)
        assert NAMED in " ".join(await check_database(owner, months_ahead=0))
    with account(url, None) as other:
        assert await value_of(other, MAY)
        await execute(
            url,
            "DROP SCHEMA public CASCADE",
            "CREATE SCHEMA public",
            "GRANT USAGE ON SCHEMA public TO PUBLIC",
            UPGRADED,
        )
        await migrate(url)
        assert not await value_of(other, MAY)


async def test_a_session_looks_into_one_schema_and_into_its_own_last(database_url: str) -> None:
    """A temporary relation never shadows one of the product's."""
    async with connection(database_url, "test") as conn:
        assert await conn.fetchval("SHOW search_path") == "public, pg_temp"
        await conn.execute("CREATE TEMP TABLE brake (x int)")
        assert await conn.fetchval("SELECT count(*) FROM brake WHERE group_id <> ''") == 0
    name = urlsplit(database_url).path[1:]
    await execute(
        database_url, 'CREATE SCHEMA "An odd one"', f"""ALTER DATABASE {name} SET search_path TO "An odd one", public"""
    )
    async with connection(database_url, "test") as conn:
        assert await conn.fetchval("SHOW search_path") == '"An odd one", pg_temp'


async def test_functions_that_an_extension_brings_are_not_named(database_url: str) -> None:
    """A superuser's functions are not reported."""
    await execute(database_url, SHADOW)
    with account(database_url, Service.READER) as url:
        assert await check_database(url, months_ahead=2, service=Service.READER) == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await execute(url, SHADOW.replace("text, int", "text, smallint"))
