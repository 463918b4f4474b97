"""Fixtures of the tests that use a gateway: its settings, with everything prepared, and an API key."""

import pytest
from support.events.settled import prepare, settings_for

from bridge.dev.stack import StackAddresses
from schemas.config.settings import Settings
from sinks.postgres import server_proof
from sinks.postgres.tokens.script_tokens import create_token


@pytest.fixture(autouse=True)
def _no_server_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the servers that proved themselves: tests reuse ports for other servers."""
    monkeypatch.setattr(server_proof, "_proved", set())


@pytest.fixture
async def settings(stack: StackAddresses, database_url: str, topic_prefix: str) -> Settings:
    """Topics, and scripts s1 to s3."""
    made = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(made)
    return made


@pytest.fixture
async def key(settings: Settings) -> str:
    """An API key of s1."""
    return (await create_token(settings.dsn, "s1")).text
