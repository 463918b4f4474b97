"""Resources that all sessions of a Postgres server share, and the accounts that could exhaust them."""

from urllib.parse import urlsplit

import asyncpg
import pytest
from support.infrastructure.accounts import GUARD, LOCKS, account, execute, not_needed
from support.infrastructure.databases import as_admin

from bridge.dev.stack import StackAddresses
from schemas.config.service import PROCESSES, Service
from sinks.postgres.runs.history import run_lock
from sinks.postgres.schema.check import check_database, excess_privileges
from sinks.postgres.schema.grants import grants

MONTHS_AHEAD = 2


@pytest.fixture
def database_url(stack: StackAddresses, database_url: str) -> str:
    """The superuser's URL, which creates the accounts."""
    return as_admin(stack, database_url)


@pytest.mark.parametrize("service", [*PROCESSES, Service.READER])
async def test_no_service_fills_what_all_sessions_share(database_url: str, service: Service) -> None:
    """A session with fifteen thousand advisory locks would keep all others from locking and connecting."""
    with account(database_url, service) as url:
        for statement in not_needed(service):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await execute(url, statement)
        if service in LOCKS:
            async with run_lock(url, "script:x:all", "script:x:all"):
                pass
        role = urlsplit(url).username or ""
        await execute(database_url, f"GRANT EXECUTE ON FUNCTION pg_advisory_xact_lock(bigint) TO {role}")
        named = await check_database(url, months_ahead=MONTHS_AHEAD, service=service)
        assert [one.partition(";")[0] for one in named] == [
            f"role {role}: has EXECUTE on pg_advisory_xact_lock(bigint), which it does not need"
        ]
        # Not every administrator can revoke it from PUBLIC, so no start depends on it.
        assert await excess_privileges(url, service) == []
        await grants(database_url, role, service, apply=True)
        assert await check_database(url, months_ahead=MONTHS_AHEAD, service=service) == []


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("GRANT MAINTAIN ON bridge_event_raw TO {role}", "has MAINTAIN on bridge_event_raw, which it does not need"),
        ("GRANT MAINTAIN ON script TO {role} WITH GRANT OPTION", "may grant MAINTAIN on script to others"),
        ("GRANT EXECUTE ON FUNCTION end_blocking_sessions TO {role}", "has EXECUTE on end_blocking_sessions("),
    ],
)
async def test_what_stops_others_is_named(database_url: str, statement: str, named: str) -> None:
    """MAINTAIN permits LOCK TABLE, and a function with its owner's rights ends others' sessions."""
    with account(database_url, Service.GATEWAY) as url:
        role = urlsplit(url).username or ""
        await execute(database_url, statement.format(role=role))
        lines = await check_database(url, months_ahead=MONTHS_AHEAD, service=Service.GATEWAY)
        assert any(line.startswith(f"role {role}: {named}") for line in lines), lines
        await grants(database_url, role, Service.GATEWAY, apply=True)
        assert await check_database(url, months_ahead=MONTHS_AHEAD, service=Service.GATEWAY) == []


async def test_an_account_keeps_its_runs_lock_until_grants_are_given(database_url: str) -> None:
    """An administrator may revoke the functions from PUBLIC while services of the previous release run."""
    with account(database_url, Service.API) as url:
        role = urlsplit(url).username or ""
        await execute(database_url, f"REVOKE EXECUTE ON FUNCTION pg_try_advisory_lock(bigint) FROM {role}", GUARD)
        async with run_lock(url, "script:x:all", "script:x:all"):
            pass
