"""A Postgres outage is not poison: the partition pauses, and no event is dropped."""

import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest
from support.events.settled import event, prepare, produce, settings_for, working
from support.infrastructure.databases import beside
from support.wait import wait_until

from schemas.config.settings import Settings
from schemas.errors import SinkUnavailable
from schemas.pipeline.record import TopicPartition
from sinks.postgres.schema.monthly_partitions import make_partitions
from sinks.postgres.sink import PostgresSink
from streams.audit import audit
from telemetry import metrics

BEFORE, DURING = 20, 30


def paused() -> float:
    found = metrics.REGISTRY.get_sample_value("bridge_paused_partitions", {"reason": "outage"})
    assert found is not None
    return found


Act = Callable[[asyncpg.Connection, Settings], Awaitable[None]]


def name_of(settings: Settings) -> str:
    return urlsplit(settings.dsn).path.removeprefix("/")


@asynccontextmanager
async def administration(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A session that the outage does not affect."""
    conn = await asyncpg.connect(beside(settings.dsn))
    try:
        yield conn
    finally:
        await conn.close()


async def end_sessions(conn: asyncpg.Connection, settings: Settings) -> None:
    await conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'",
        name_of(settings),
    )


async def read_only(conn: asyncpg.Connection, settings: Settings) -> None:
    await conn.execute(f"ALTER DATABASE {name_of(settings)} SET default_transaction_read_only = on")
    await end_sessions(conn, settings)


async def writable(conn: asyncpg.Connection, settings: Settings) -> None:
    await conn.execute(f"ALTER DATABASE {name_of(settings)} RESET default_transaction_read_only")
    await end_sessions(conn, settings)


async def refusing(conn: asyncpg.Connection, settings: Settings) -> None:
    await conn.execute(f"ALTER DATABASE {name_of(settings)} ALLOW_CONNECTIONS false")
    await end_sessions(conn, settings)


async def answering(conn: asyncpg.Connection, settings: Settings) -> None:
    await conn.execute(f"ALTER DATABASE {name_of(settings)} ALLOW_CONNECTIONS true")


async def without_a_month(_conn: asyncpg.Connection, settings: Settings) -> None:
    inside = await asyncpg.connect(settings.dsn)
    months = await inside.fetch("SELECT inhrelid::regclass::text AS name FROM pg_inherits "
                                "WHERE inhparent = 'bridge_event'::regclass")  # fmt: skip
    for month in months:
        await inside.execute(f"ALTER TABLE bridge_event DETACH PARTITION {month['name']}")
        await inside.execute(f"ALTER TABLE {month['name']} RENAME TO away_{month['name']}")
    await inside.close()


async def with_its_months(_conn: asyncpg.Connection, settings: Settings) -> None:
    inside = await asyncpg.connect(settings.dsn)
    await make_partitions(settings.dsn, inside, 2)
    await inside.execute(
        "DO $$ DECLARE away record; BEGIN FOR away IN SELECT relname FROM pg_class "
        "WHERE relname LIKE 'away\\_%' AND relkind = 'r' LOOP "
        "EXECUTE format('INSERT INTO bridge_event SELECT * FROM %I', away.relname); END LOOP; END $$"
    )
    await inside.close()


@pytest.mark.parametrize(
    ("break_it", "mend_it"),
    [
        pytest.param(read_only, writable, id="read-only"),
        pytest.param(refusing, answering, id="refusing connections"),
        pytest.param(without_a_month, with_its_months, id="a month's partition missing"),
    ],
)
async def test_an_outage_pauses_and_drops_nothing(
    stack, database_url: str, topic_prefix: str, break_it: Act, mend_it: Act
) -> None:
    """The worker pauses its partitions while Postgres is unfit and commits everything once it recovers."""
    settings = settings_for(stack.kafka, database_url, topic_prefix, lock_timeout="500ms")
    await prepare(settings)
    await produce(settings, [event(number) for number in range(BEFORE)])

    async with administration(settings) as conn, working(settings) as worker:
        await wait_until(lambda: persisted(settings, BEFORE), budget_seconds=30, describe="the first events")
        await break_it(conn, settings)
        await produce(settings, [event(number) for number in range(BEFORE, BEFORE + DURING)])
        await wait_until(lambda: paused() > 0, budget_seconds=30, describe="partitions held")
        assert not worker.failed.done()
        await mend_it(conn, settings)
        await wait_until(lambda: persisted(settings, BEFORE + DURING), budget_seconds=60, describe="all events")
        await wait_until(lambda: paused() == 0, budget_seconds=30, describe="partitions let go")
    assert paused() == 0, "a worker that has ended"

    report = await audit(settings)
    assert report.balanced, report.problems
    assert (report.totals.persisted, report.totals.dropped) == (BEFORE + DURING, 0)


async def persisted(settings: Settings, count: int) -> bool:
    """Whether that many events are stored; False while the database cannot be read."""
    try:
        conn = await asyncpg.connect(settings.dsn)
    except (asyncpg.PostgresError, OSError):
        return False
    try:
        return bool(await conn.fetchval("SELECT count(*) = $1 FROM bridge_event", count))
    except asyncpg.PostgresError:
        return False
    finally:
        await conn.close()


async def test_one_refused_row_leaves_its_neighbours(stack, database_url: str, topic_prefix: str) -> None:
    """A row that a constraint refuses is dead-lettered alone, with the constraint's name; the others are persisted."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    conn = await asyncpg.connect(database_url)
    await conn.execute("ALTER TABLE bridge_event ADD CONSTRAINT no_thirteen CHECK (event_id <> 'e-13')")
    await produce(settings, [event(number) for number in range(40)])

    async with working(settings):
        await wait_until(lambda: persisted(settings, 39), budget_seconds=30, describe="39 events")
        dropped = await conn.fetch("SELECT event_id, dropped_reason, last_error FROM bridge_event_raw")
    await conn.close()

    assert [(row["event_id"], row["dropped_reason"]) for row in dropped] == [("e-13", "sink_rejected_row")]
    assert "no_thirteen" in dropped[0]["last_error"]
    assert (await audit(settings)).balanced


FATAL = b"SFATAL\x00VFATAL\x00C57P01\x00Mterminating connection due to administrator command\x00\x00"


async def test_an_idle_session_that_is_ended_is_an_outage(database_url: str) -> None:
    """A driver that fails on a half-closed connection counts as an outage, and the lane waits.

    Postgres has sent its last message, and the end of the connection has not arrived.
    """
    sink = PostgresSink(database_url, "idle")
    source = TopicPartition("bridge.raw", 0)
    assert await sink.claim({source: 0}) == {source: 0}
    sink._opened._protocol.data_received(b"E" + struct.pack(">i", len(FATAL) + 4) + FATAL)

    with pytest.raises(SinkUnavailable):
        await sink.stored([source])

    assert await sink.stored([source]) == {source: 0}
    await sink.close()
