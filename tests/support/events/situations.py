"""The troubles that the runbooks treat, made on real servers, so that operators' commands have something to report."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import asyncpg
import httpx
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import RecordsToDelete

from bridge.dev.stack import StackAddresses
from schemas.api_token import Role
from schemas.config.settings import Settings
from sinks.kafka.admin import kafka_admin, log_bounds
from sinks.postgres.tokens.api_tokens import create_api_token
from sinks.postgres.tokens.script_tokens import create_token
from support.events.settled import (
    environment_of,
    event,
    fetch,
    open_transaction,
    prepare,
    produce,
    settings_for,
    working,
)
from support.infrastructure.databases import LOCK_AWAITED, beside
from support.infrastructure.topics import make_anew
from support.processes.api import api
from support.processes.command import bridge
from support.processes.gateway import gateway
from support.wait import wait_until

BUDGET_SECONDS = 60
LATE = {"script_id": "late", "site_id": 1}
UNREADABLE_MOST_BYTES = 1024 * 1024


@dataclass
class Trouble:
    """A trouble that is present. `mend` runs before the page's section Mitigation, if no command removes the cause.

    `words` are the values of the page's placeholders in capitals that its own commands don't show; `more` are settings
    of the operator's commands.
    """

    settings: Settings
    words: dict[str, str] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)
    mend: Callable[[], Awaitable[None]] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the operator's commands."""
        return environment_of(self.settings, **self.more)


@dataclass(frozen=True)
class Place:
    """The place for a trouble: servers, its own database and prefix, and a directory."""

    stack: StackAddresses
    database_url: str
    prefix: str
    directory: Path

    def settings(self, **changed: object) -> Settings:
        """Make the settings of this place."""
        return settings_for(self.stack.kafka, self.database_url, self.prefix, **changed)


Situation: TypeAlias = Callable[[Place], AbstractAsyncContextManager[Trouble]]


async def until(settings: Settings, statement: str, *arguments: object) -> None:
    """Wait until the statement's single value is true."""

    async def holds() -> bool:
        return bool((await fetch(settings, statement, *arguments))[0][0])

    await wait_until(holds, budget_seconds=BUDGET_SECONDS, describe=statement)


async def settle(settings: Settings, values: list[bytes]) -> None:
    """Let a worker read these events, each as a first attempt, and stop it."""
    before = (await fetch(settings, "SELECT coalesce(sum(live), 0) FROM stream_offset"))[0][0]
    await produce(settings, values)
    async with working(settings):
        await until(settings, "SELECT coalesce(sum(live), 0) >= $1 FROM stream_offset", before + len(values))


@asynccontextmanager
async def well(place: Place) -> AsyncIterator[Trouble]:
    """A worker runs and has committed all events."""
    settings = place.settings()
    await prepare(settings)
    await produce(settings, [event(number) for number in range(20)])
    async with working(settings):
        await until(settings, "SELECT count(*) = 20 FROM bridge_event")
        yield Trouble(settings)


@asynccontextmanager
async def nobody_reads(place: Place) -> AsyncIterator[Trouble]:
    """No worker runs, and events come in."""
    settings = place.settings()
    await prepare(settings)
    await settle(settings, [event(number) for number in range(20)])
    await produce(settings, [event(number) for number in range(20, 50)])
    yield Trouble(settings)


@asynccontextmanager
async def database_away(place: Place) -> AsyncIterator[Trouble]:
    """Postgres refuses connections under a running worker."""
    async with well(place) as trouble:
        name = urlsplit(trouble.settings.dsn).path.removeprefix("/")
        conn = await asyncpg.connect(beside(trouble.settings.dsn))

        async def back() -> None:
            await conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            await until(trouble.settings, "SELECT sum(live) = 25 FROM stream_offset")

        try:
            await conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'",
                name,
            )
            await produce(trouble.settings, [event(number) for number in range(20, 25)])
            trouble.mend = back
            yield trouble
        finally:
            await conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            await conn.close()


@asynccontextmanager
async def a_lock_is_held(place: Place) -> AsyncIterator[Trouble]:
    """A session that isn't the product's holds a lock for which a commit waits."""
    settings = place.settings(lock_timeout="10m")
    await prepare(settings)
    await settle(settings, [event(number) for number in range(20)])
    holder = await asyncpg.connect(settings.dsn, server_settings={"application_name": "psql"})
    try:
        await holder.execute("BEGIN")
        await holder.execute("LOCK TABLE bridge_event IN ACCESS EXCLUSIVE MODE")
        await produce(settings, [event(number) for number in range(20, 50)])
        async with working(settings):
            await until(settings, LOCK_AWAITED)
            yield Trouble(settings)
            await until(settings, "SELECT sum(live) = 50 FROM stream_offset")
    finally:
        holder.terminate()


@asynccontextmanager
async def a_tenth_is_dropped(place: Place) -> AsyncIterator[Trouble]:
    """12 of 120 events of three sites break the contract, and the worker continues to read."""
    settings = place.settings(max_retries=0)
    await prepare(settings)
    values = [event(number, event_type="") if number % 10 == 0 else event(number) for number in range(120)]
    await settle(settings, values)
    async with working(settings):
        yield Trouble(settings, more={"BRIDGE_MAX_RETRIES": "0"})


@asynccontextmanager
async def dropped_for_a_script(place: Place) -> AsyncIterator[Trouble]:
    """Events were dropped because their script was not registered; now it is."""
    settings = place.settings(max_retries=0)
    await prepare(settings)
    await settle(settings, [event(number, **LATE) for number in range(12)])
    registered = await asyncio.to_thread(
        bridge, "script", "add", "late", "--site-id", "1", settings=environment_of(settings)
    )
    assert registered.returncode == 0, registered.stderr
    async with working(settings):
        yield Trouble(settings, more={"BRIDGE_MAX_RETRIES": "0"})


@asynccontextmanager
async def a_plugin_writes_a_wrong_currency(place: Place, wrong: int) -> AsyncIterator[Trouble]:
    """One script's events have an invalid currency, among valid events of all scripts; workers run."""
    settings = place.settings()
    await prepare(settings)
    broken = [event(number, site_id=2, script_id="s2", value="9.90", currency="EURO") for number in range(wrong)]
    await settle(settings, [*broken, *(event(number) for number in range(wrong, 5 * wrong))])
    async with working(settings):
        yield Trouble(settings)


@asynccontextmanager
async def retries_wait(place: Place) -> AsyncIterator[Trouble]:
    """Events of an unknown script wait for their next attempt, which is minutes away."""
    settings = place.settings(retry_delays=("4m", "5m"))
    await prepare(settings)
    await settle(
        settings, [event(number) for number in range(10)] + [event(number, **LATE) for number in range(30, 60)]
    )
    async with working(settings):
        yield Trouble(settings, {"SCRIPT": "late", "SITE": "1"})


@asynccontextmanager
async def retries_overdue(place: Place) -> AsyncIterator[Trouble]:
    """The workers ended before the next attempt of the waiting events, which is now due."""
    settings = place.settings(retry_delays=("3s",), max_retries=1)
    await prepare(settings)
    await settle(settings, [event(number, **LATE) for number in range(8)])
    await until(settings, "SELECT count(*) = 8 FROM bridge_event_raw WHERE NOT normalized AND next_retry_at < now()")
    yield Trouble(settings)


@asynccontextmanager
async def records_lost(place: Place) -> AsyncIterator[Trouble]:
    """Unread records of one partition were deleted; then a worker started."""
    settings = place.settings()
    await prepare(settings)
    await settle(settings, [event(number) for number in range(20)])
    await produce(settings, [event(number) for number in range(20, 40)])
    bounds = await log_bounds(settings, [settings.topics.raw])
    async with kafka_admin(settings) as client:
        await client.delete_records(
            {
                KafkaPartition(*source): RecordsToDelete(before_offset=one.end)
                for source, one in bounds.items()
                if source.partition == 0
            }
        )
    async with working(settings):
        await until(settings, "SELECT sum(lost) = 10 AND sum(live) = 30 FROM stream_offset")
    yield Trouble(settings)


@asynccontextmanager
async def a_total_is_wrong(place: Place) -> AsyncIterator[Trouble]:
    """The running totals were changed by hand."""
    settings = place.settings()
    await prepare(settings)
    await settle(settings, [event(number) for number in range(20)])
    await fetch(settings, "UPDATE stream_offset SET live = live + 1 WHERE partition = 0")
    yield Trouble(settings)


@asynccontextmanager
async def a_record_is_unreadable(place: Place) -> AsyncIterator[Trouble]:
    """A compressed batch would inflate to more than the limit; records follow it."""
    settings = place.settings(inflate_max_bytes=UNREADABLE_MOST_BYTES)
    await prepare(settings)
    await settle(settings, [event(number) for number in range(20)])
    async with AIOKafkaProducer(
        **settings.kafka_client(), compression_type="gzip", max_request_size=16 * UNREADABLE_MOST_BYTES
    ) as producer:
        await producer.send_and_wait(settings.topics.raw, b" " * (3 * UNREADABLE_MOST_BYTES), partition=0)
    await produce(settings, [event(number) for number in range(20, 40)])
    async with working(settings):
        await until(settings, "SELECT count(*) = 1 FROM stream_offset WHERE held LIKE '%inflates to more than%'")
        yield Trouble(settings, more={"BRIDGE_INFLATE_MAX_BYTES": str(UNREADABLE_MOST_BYTES)})
        await until(settings, "SELECT sum(live) = 40 FROM stream_offset")


@asynccontextmanager
async def a_transaction_is_open(place: Place) -> AsyncIterator[Trouble]:
    """A producer began a transaction, sent a record, and has been idle since; another record follows it."""
    async with well(place) as trouble:
        settings = trouble.settings
        async with open_transaction(settings, settings.topics.raw, partitions=(0,), value=event(100)):
            await produce(settings, [event(101)])
            yield trouble


@asynccontextmanager
async def a_topic_was_made_anew(place: Place) -> AsyncIterator[Trouble]:
    """A recreated topic is shorter than the offset up to which the old one was read."""
    settings = place.settings()
    await prepare(settings)
    await settle(settings, [event(number) for number in range(20)])
    await make_anew(settings, [settings.topics.raw])
    await produce(settings, [event(number) for number in range(20, 26)])
    async with working(settings):
        await until(settings, "SELECT count(*) = 2 FROM stream_offset WHERE held IS NOT NULL")
        yield Trouble(settings)
        await until(settings, "SELECT sum(live) = 26 FROM stream_offset")


@asynccontextmanager
async def the_brake_is_on(place: Place) -> AsyncIterator[Trouble]:
    """Every event of every site breaks the contract."""
    settings = place.settings(brake_min_events=20, batch_max_records=20)
    await prepare(settings)
    await produce(settings, [event(number, event_type="") for number in range(200)])
    async with working(settings):
        await until(settings, "SELECT count(*) = 1 FROM brake WHERE engaged")
        yield Trouble(settings)


@asynccontextmanager
async def runs_fail(place: Place) -> AsyncIterator[Trouble]:
    """Two runs were stopped by their time-out."""
    async with well(place) as trouble:
        for _ in range(2):
            words = ("process", "--timeout-sec", "0.001", "--json-output", "-")
            done = await asyncio.to_thread(bridge, *words, settings=trouble.environment)
            assert done.returncode == 1, done.stderr
        yield trouble


@asynccontextmanager
async def months_are_missing(place: Place) -> AsyncIterator[Trouble]:
    """The next months have no partitions."""
    settings = place.settings()
    await prepare(settings)
    this_month = f"bridge_event_{datetime.now(UTC):%Y_%m}"
    later = await fetch(
        settings,
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
        " WHERE inhparent = 'bridge_event'::regclass AND inhrelid::regclass::text > $1",
        this_month,
    )
    assert later
    for row in later:
        await fetch(settings, f"DROP TABLE {row['name']}")
    yield Trouble(settings)


@asynccontextmanager
async def sessions_are_left_over(place: Place) -> AsyncIterator[Trouble]:
    """Another application keeps idle sessions while a worker runs."""
    async with well(place) as trouble:
        settings = {"application_name": "reports"}
        idle = [await asyncpg.connect(trouble.settings.dsn, server_settings=settings) for _ in range(3)]
        try:
            yield trouble
        finally:
            for session in idle:
                session.terminate()


@asynccontextmanager
async def a_gateway_serves(place: Place) -> AsyncIterator[Trouble]:
    """A gateway runs and has refused a request; a script has an origin and a key."""
    async with well(place) as trouble:
        await create_token(trouble.settings.dsn, "s1", "shop's server")
        with gateway(trouble.settings, place.directory / "gateway.log") as running:
            async with httpx.AsyncClient(base_url=running.url, timeout=20) as stranger:
                assert (await stranger.post("/api/bridge/s1/events")).status_code == 401
            yield Trouble(trouble.settings, {"http://127.0.0.1:8000": running.url, "SCRIPT": "s1", "SITE": "1"})


@asynccontextmanager
async def an_api_serves(place: Place) -> AsyncIterator[Trouble]:
    """The operators' API runs, and there is a token."""
    async with well(place) as trouble:
        await create_api_token(trouble.settings.dsn, "alice", Role.VIEWER)
        with api(trouble.settings, place.directory / "api.log") as running:
            yield Trouble(trouble.settings, {"http://127.0.0.1:8001": running.url})
