"""A service over the dead letters of two organisations, written to the ledger as a commit leaves them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from support.events.dead_letters import add_dropped, dropped
from support.events.settled import event, settings_for
from support.processes.api import Api, api, client, token

from bridge.dev.stack import StackAddresses
from schemas.api_token import Role
from schemas.config.settings import Settings
from schemas.reasons import DroppedReason, ErrorClass
from sinks.kafka.topics import apply_topics

ORGS = {1: 10, 2: 10, 3: 20}
"""Organisations by site."""


@pytest.fixture
async def two_orgs(stack: StackAddresses, database_url: str, topic_prefix: str) -> Settings:
    """Ten dead letters of organisation 10 (offsets 0 to 9), five of 20 (10 to 14), one of no site (15)."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await apply_topics(settings)
    rows = [
        dropped(offset, site_id=1 + offset % 2, event_id=f"e-{offset}", payload=event(offset, site_id=1 + offset % 2))
        for offset in range(10)
    ]
    rows += [
        dropped(
            offset, site_id=3, script_id="theirs", event_id=f"e-{offset}", error="their secret",
            dropped_reason=DroppedReason.INVALID_PAYLOAD_JSON, error_class=ErrorClass.INVALID_PAYLOAD_JSON,
        )
        for offset in range(10, 15)
    ]  # fmt: skip
    rows.append(dropped(15, site_id=None, script_id=None, event_id=None))
    await add_dropped(settings.dsn, rows, orgs=ORGS)
    return settings


@pytest.fixture
def running(two_orgs: Settings, tmp_path: Path) -> Iterator[Api]:
    """A running service over these dead letters."""
    with api(two_orgs, tmp_path / "api.log") as found:
        yield found


@pytest.fixture
async def bound(running: Api, two_orgs: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """An admin of organisation 10."""
    async with client(running, await token(two_orgs, "bound", Role.ADMIN, 10)) as made:
        yield made


@pytest.fixture
async def unbound(running: Api, two_orgs: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """An admin without a tenant scope."""
    async with client(running, await token(two_orgs, "unbound", Role.ADMIN)) as made:
        yield made
