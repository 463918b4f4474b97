"""Services that all requests of the API share. They are built within the running loop of the serving process."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import structlog

from bridge.api.runs import Runs
from bridge.http.body import BodyLimits
from bridge.http.byte_budget import ByteBudget
from bridge.http.token_buckets import Buckets
from schemas.config.settings import Settings
from schemas.errors import BridgeError
from sinks.kafka.admin import kafka_admin
from sinks.postgres.tokens.api_token_cache import ApiTokenCache
from sinks.postgres.tokens.api_tokens import note_used
from sinks.readiness import Needs, Readiness
from telemetry.gc_tuning import search_now_and_then

# Enough for a filter that names thousands of events, and for corrections, whose limit is that of an event.
_MOST_BODY_BYTES: Final = 256 * 1024
_BODY_SECONDS: Final = 10.0
_NOTE_USED_SECONDS: Final = 5.0

log = structlog.get_logger(__name__)


class Services:
    """Tokens, runs, limits and health checks."""

    def __init__(self, settings: Settings) -> None:
        rate = settings.api_requests_per_second
        self.settings = settings
        self.tokens = ApiTokenCache(settings.dsn, refresh_seconds=settings.registry_refresh.seconds)
        self.runs = Runs(settings, settings.api_max_replays, settings.api_max_replays_per_org)
        self.body = BodyLimits(_MOST_BODY_BYTES, _BODY_SECONDS)
        self.budget = ByteBudget("bytes", settings.api_max_requests * _MOST_BODY_BYTES, _MOST_BODY_BYTES)
        self.callers = Buckets("requests of one token", rate, time.monotonic)
        self.addresses = Buckets("requests of one address", rate, time.monotonic)
        self.readiness = Readiness(settings, _needs(settings, self.tokens))
        self.used: dict[str, datetime] = {}
        """Times of last use by key id that are not stored yet."""

    def use(self, key_id: str) -> None:
        """Record that the token was used."""
        self.used[key_id] = datetime.now(UTC)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Services]:
    """Run the services within the block. At the end of the block, wait until each job has recorded its end,
    for a limited time.

    Raises BridgeError if a service can't start.
    """
    services = Services(settings)
    await services.tokens.load()
    tasks = [
        asyncio.create_task(services.tokens.follow()),
        asyncio.create_task(_note_uses(services)),
        asyncio.create_task(search_now_and_then()),
    ]
    try:
        yield services
    finally:
        await services.runs.ended()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _note_used(services)


async def _note_uses(services: Services) -> None:
    while True:
        await asyncio.sleep(_NOTE_USED_SECONDS)
        await _note_used(services)


async def _note_used(services: Services) -> None:
    used, services.used = services.used, {}
    if used:
        try:
            await note_used(services.settings.dsn, used)
        except BridgeError as error:
            log.warning("token_last_used_update_failed", error=str(error))


def _needs(settings: Settings, tokens: ApiTokenCache) -> Needs:
    """Return the health checks. An outage of Kafka only degrades the service, because reads still work."""

    async def ask_kafka() -> None:
        async with kafka_admin(settings):
            pass

    return Needs(
        ask_kafka,
        lambda: {"tokens": tokens.read_at is not None},
        lambda: {"tokens_age_seconds": tokens.age_seconds},
        frozenset({"postgres", "tokens"}),
    )
