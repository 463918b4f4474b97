"""A change of the registry is made whether or not Postgres takes a notification of it."""

import asyncpg
import pytest
from structlog.testing import capture_logs
from support.infrastructure.accounts import account, execute
from support.infrastructure.databases import as_admin

from bridge.dev.stack import StackAddresses
from schemas.api_token import Role
from schemas.config.service import Service
from schemas.pipeline.pause import PauseKind
from sinks.postgres.registry.admin import add_script, set_enabled
from sinks.postgres.registry.cache import CHANNEL
from sinks.postgres.registry.pauses import end_pause, list_pauses, start_pause
from sinks.postgres.tokens.api_tokens import create_api_token, revoke_api_token
from sinks.postgres.tokens.script_tokens import create_token, list_tokens, revoke_token


@pytest.fixture
def admin_url(stack: StackAddresses, database_url: str) -> str:
    """The URL for the superuser, who makes the accounts."""
    return as_admin(stack, database_url)


async def change_all(url: str) -> int:
    """Changes scripts, tokens and pauses; how often."""
    await add_script(url, "shop", 3, org_id=7)
    await set_enabled(url, "shop", enabled=False)
    made = await create_token(url, "shop")
    assert await revoke_token(url, "shop", made.key_id)
    await create_api_token(url, "ops", Role.VIEWER)
    assert await revoke_api_token(url, "ops")
    assert await start_pause(url, PauseKind.SITE, "3", "flood")
    assert await end_pause(url, PauseKind.SITE, "3", "over")
    return 8


async def test_a_change_is_made_though_nobody_can_be_told(admin_url: str) -> None:
    """As when the queue of notifications is full, which any account can bring about; a revoked token is no good then too."""
    with account(admin_url, Service.OWNER) as url:
        await execute(admin_url, "REVOKE EXECUTE ON FUNCTION pg_notify FROM PUBLIC")
        with capture_logs() as logs:
            changes = await change_all(url)
        assert [one["event"] for one in logs] == ["registry_change_not_told"] * changes
        (key,) = await list_tokens(url, "shop")
        assert key.revoked_at is not None
        assert await list_pauses(url) == []


async def test_each_change_is_told_once_it_is_committed(database_url: str) -> None:
    """Those who follow the registry read it then."""
    heard: list[object] = []
    listener = await asyncpg.connect(database_url)
    try:
        await listener.add_listener(CHANNEL, lambda *told: heard.append(told))
        changes = await change_all(database_url)
        # What came before this answer has been heard.
        await listener.fetchval("SELECT 1")
        assert len(heard) == changes
    finally:
        await listener.close()
