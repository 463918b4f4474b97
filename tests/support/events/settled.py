"""A small committed stream: every kind of outcome, on two partitions."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import asyncpg

from schemas.config.settings import Settings
from schemas.pipeline.record import TopicPartition
from sinks.kafka.admin import log_bounds, started
from sinks.kafka.producer import make_producer
from sinks.kafka.topics import apply_topics
from sinks.postgres.registry.admin import add_script
from sinks.postgres.registry.cache import CHANNEL
from streams.worker.worker import Worker
from support.wait import wait_until

SITES = (1, 2, 3)
LATE_SCRIPT = "late"
BUDGET_SECONDS = 60
Headers = list[tuple[str, bytes | None]]
SECRET = "a secret of the tests, of some length"
# The script is registered together with its first failure, so that no test has to be faster than the retries.
_REGISTER_LATE = f"""
    CREATE FUNCTION register_late() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO script (script_id, site_id, origins, shared_ids)
        VALUES ('{LATE_SCRIPT}', 1, '{{}}', false) ON CONFLICT DO NOTHING;
        PERFORM pg_notify('{CHANNEL}', '');
        RETURN NULL;
    END $$;
    CREATE TRIGGER register_late AFTER INSERT ON bridge_event_raw
    FOR EACH ROW WHEN (NEW.script_id = '{LATE_SCRIPT}') EXECUTE FUNCTION register_late();
"""


def settings_for(kafka: str, database_url: str, prefix: str, **changed: object) -> Settings:
    """Make the settings of a test: two partitions, one lane, retries within half a second."""
    chosen: dict[str, object] = {
        "kafka_bootstrap_servers": kafka,
        "database_url": database_url,
        "topic_prefix": prefix,
        "group": f"{prefix}group",
        "topic_partitions": 2,
        "retry_delays": ("100ms", "300ms"),
        "max_retries": 2,
        "lanes": 1,
        "metrics_port": 0,
        "registry_refresh": "1s",
        "secret_key": SECRET,
    }
    return Settings(**(chosen | changed))  # type: ignore[arg-type]  # the settings validate what they are given


def settling(kafka: str, database_url: str, prefix: str) -> Settings:
    """Make the settings of `settle_everything`: the last retry comes after the worker has read the registry again."""
    return settings_for(kafka, database_url, prefix, retry_delays=("100ms", "2s"))


def environment_of(settings: Settings, **more: str) -> dict[str, str]:
    """Make the environment of a command with the same settings and more."""
    return {
        "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": settings.brokers,
        "BRIDGE_DATABASE_URL": settings.dsn,
        "BRIDGE_TOPIC_PREFIX": settings.topic_prefix,
        "BRIDGE_TOPIC_PARTITIONS": str(settings.topic_partitions),
        "BRIDGE_GROUP": settings.group,
        "BRIDGE_RETRY_DELAYS": ",".join(settings.retry_delays),
        "BRIDGE_START_TIMEOUT": "1s",
        "BRIDGE_METRICS_PORT": "0",
        "BRIDGE_SECRET_KEY": "" if settings.secret_key is None else settings.secret_key.get_secret_value(),
        **more,
    }


def event(number: int, **changed: object) -> bytes:
    """Make a valid event of one of the sites."""
    site = SITES[number % len(SITES)]
    sound = {
        "event_id": f"e-{number}", "site_id": site, "script_id": f"s{site}", "event_type": "click",
        "occurred_at": time.time_ns() // 1_000_000,
    }  # fmt: skip
    return json.dumps(sound | changed).encode()


async def prepare(settings: Settings) -> None:
    """Create the topics, and a script for each site."""
    await apply_topics(settings)
    for site in SITES:
        await add_script(settings.dsn, f"s{site}", site, org_id=1)


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[Worker]:
    """Run a worker in this process, and stop it at the end."""
    worker = Worker(settings)
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()
        if worker.failed.done():
            worker.failed.result()


async def fetch(settings: Settings, statement: str, *arguments: object) -> list[asyncpg.Record]:
    """Return the rows of a statement, [] without rows."""
    conn = await asyncpg.connect(settings.dsn)
    try:
        return list(await conn.fetch(statement, *arguments))
    finally:
        await conn.close()


@asynccontextmanager
async def open_transaction(
    settings: Settings, *topics: str, partitions: Iterable[int] | None = None, value: bytes = b"{}"
) -> AsyncIterator[None]:
    """Keep a transaction open with a record in these partitions of the topics, or in all; it is aborted at the end."""
    chosen = range(settings.topic_partitions) if partitions is None else tuple(partitions)
    producer = make_producer(settings, transactional_id=f"{settings.group}-open", enable_idempotence=True)
    async with started(settings, producer):
        await producer.begin_transaction()
        for topic in topics:
            for partition in chosen:
                await (await producer.send(topic, value, partition=partition))
        try:
            yield
        finally:
            await producer.abort_transaction()


async def produce(
    settings: Settings,
    values: list[bytes],
    *,
    transactional: bool = False,
    headers: Callable[[bytes], Headers] = lambda _value: [],
) -> None:
    """Send the values to the raw topic, to its partitions in turn."""
    options = {"transactional_id": f"{settings.group}-tx", "enable_idempotence": True} if transactional else {}
    producer = make_producer(settings, **options)
    # Not `async with producer`: that doesn't close connections if it is cancelled while it connects.
    async with started(settings, producer):
        if transactional:
            await producer.begin_transaction()
        sent = [
            await producer.send(
                settings.topics.raw, value, partition=number % settings.topic_partitions, headers=headers(value)
            )
            for number, value in enumerate(values)
        ]
        placed = await asyncio.gather(*sent)
        if transactional:
            await producer.commit_transaction()
            # The broker responds before it has written its markers, and the next records may overtake them.
            last = {TopicPartition(one.topic, one.partition): one.offset for one in placed}
            await wait_until(
                lambda: _ended(settings, last), budget_seconds=BUDGET_SECONDS, describe="the transaction's markers"
            )


async def _ended(settings: Settings, last: dict[TopicPartition, int]) -> bool:
    """Whether each log continues after these offsets."""
    bounds = await log_bounds(settings, [settings.topics.raw])
    return all(bounds[source].end > offset + 1 for source, offset in last.items())


async def settle_everything(settings: Settings) -> None:
    """Commit events of every outcome: stored, duplicate, broken, retried with success, retried in vain.

    `settings` are those of `settling`. Returns when none waits for a retry and none is unread.
    """
    await prepare(settings)
    await produce(settings, [event(number) for number in range(40)])
    # A transaction's markers are offsets without a record.
    await produce(settings, [event(number) for number in range(40, 46)], transactional=True)
    odd = [event(38), event(39), b"{bad", event(50, event_type=""), event(51, script_id="nobody")]
    healing = [event(60, script_id=LATE_SCRIPT, site_id=1), event(61, script_id=LATE_SCRIPT, site_id=1)]
    await produce(settings, [*odd, *healing])
    conn = await asyncpg.connect(settings.dsn)
    try:
        await conn.execute(_REGISTER_LATE)
        async with working(settings):
            await wait_until(
                lambda: conn.fetchval(
                    "SELECT (SELECT sum(live + skipped) = 55 FROM stream_offset WHERE topic = $1)"
                    " AND (SELECT bool_and(normalized) FROM bridge_event_raw)",
                    settings.topics.raw,
                ),
                budget_seconds=BUDGET_SECONDS,
                describe="everything settled",
            )
        await conn.execute("DROP FUNCTION register_late CASCADE")
    finally:
        await conn.close()
