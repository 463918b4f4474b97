"""Fencing: of two workers that both believe they own a partition, the lock of the offset row lets one write."""

import asyncio
import time
from contextlib import asynccontextmanager

import asyncpg
import pytest
from aiokafka.structs import ConsumerRecord
from support.events.making import process
from support.events.settled import SITES, event
from support.wait import wait_until

from schemas.config.settings import Settings
from schemas.errors import BatchRefused, SinkUnavailable
from schemas.pipeline.outcome import Outcomes
from schemas.pipeline.record import Batch, TopicPartition
from schemas.pipeline.registry import Script
from sinks.postgres import sink as postgres_sink
from sinks.postgres.sink import PostgresSink
from streams.pipeline.normalize import bounds_of
from streams.pipeline.processor import Context
from streams.pipeline.trust import GatewayTrust
from streams.rules.retry_policy import retry_policy

SOURCE = TopicPartition("bridge.raw", 0)
GROUP = "fenced"
BOTH_WAIT = """
SELECT count(*) = 2 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def outcomes(first: int, count: int, source: TopicPartition = SOURCE, *, sound: bool = True) -> Outcomes:
    """The outcomes of `count` events from offset `first`; the ids of sound ones are the same in each partition."""
    now_ms = time.time_ns() // 1_000_000
    settings = Settings()
    values = [event(number) if sound else b"no JSON" for number in range(first, first + count)]
    records = [
        ConsumerRecord(*source, first + index, now_ms, 1, None, value, 0, 0, len(value), ())
        for index, value in enumerate(values)
    ]
    registry = {f"s{site}": Script(f"s{site}", site, 1, True) for site in SITES}
    context = Context(
        now_ms,
        registry,
        set(),
        {},
        bounds_of(settings),
        retry_policy(settings, lambda: 0.0),
        SOURCE.topic,
        GatewayTrust(),
    )
    return process(Batch(source, first, first + count, records), context)


@asynccontextmanager
async def owner(database_url: str, lock_timeout: float = 5.0):
    sink = PostgresSink(database_url, GROUP, lock_timeout=lock_timeout)
    try:
        yield sink
    finally:
        await sink.close()


async def count_of(database_url: str, table: str) -> int:
    conn = await asyncpg.connect(database_url)
    try:
        return await conn.fetchval(f"SELECT count(*) FROM {table}")
    finally:
        await conn.close()


@pytest.mark.parametrize("sound", [True, False], ids=["events", "no events"])
async def test_two_first_owners_write_a_batch_once(database_url: str, sound: bool) -> None:
    """Two workers that claim a new partition commit the same batch at the same time: one is refused."""
    batch = outcomes(0, 500, sound=sound)
    async with owner(database_url) as one, owner(database_url) as other:
        assert await asyncio.gather(one.claim({SOURCE: 0}), other.claim({SOURCE: 0})) == [{SOURCE: 0}, {SOURCE: 0}]
        stranger = await asyncpg.connect(database_url)
        await stranger.execute("BEGIN; LOCK TABLE bridge_event_key, gate_window IN ACCESS EXCLUSIVE MODE")
        commits = [asyncio.create_task(sink.commit([batch])) for sink in (one, other)]
        await wait_until(lambda: stranger.fetchval(BOTH_WAIT), budget_seconds=30, describe="both to be in the middle")
        await stranger.close()

        results = await asyncio.gather(*commits, return_exceptions=True)

    assert [BatchRefused] == [type(one) for one in results if isinstance(one, Exception)]
    assert await count_of(database_url, "bridge_event" if sound else "bridge_event_raw") == 500


async def test_an_owner_that_wakes_up_late_is_refused(database_url: str) -> None:
    """A stopped worker whose batch another one has committed is refused when it resumes."""
    async with owner(database_url) as sleeper, owner(database_url) as heir:
        await sleeper.claim({SOURCE: 0})
        in_hand = outcomes(0, 100)
        await heir.claim({SOURCE: 0})
        await heir.commit([outcomes(0, 300)])

        refused = await asyncio.gather(sleeper.commit([in_hand]), return_exceptions=True)

    assert isinstance(refused[0], BatchRefused)
    assert await count_of(database_url, "bridge_event") == 300


async def commits_past_a_stopped_worker(heir: PostgresSink, database_url: str) -> None:
    """Check that an owner ends the session of a worker that stopped inside its transaction, and commits."""
    await heir.claim({SOURCE: 0})
    stopped = await asyncpg.connect(database_url, server_settings={"application_name": "ghostlink-bridge lane x"})
    await stopped.execute("BEGIN")
    await stopped.execute("SELECT * FROM stream_offset FOR UPDATE")

    await heir.commit([outcomes(0, 100)])

    stopped.terminate()
    assert await count_of(database_url, "bridge_event") == 100


async def test_a_stopped_workers_lock_is_broken(database_url: str) -> None:
    """An owner that waits for the offset lock of a stopped worker ends that session and commits."""
    async with owner(database_url) as heir:
        await commits_past_a_stopped_worker(heir, database_url)


async def test_a_stopped_workers_lock_is_broken_before_the_heir_has_claimed(database_url: str) -> None:
    """The next owner also breaks the lock when it waits in its claim, before its first commit."""
    async with owner(database_url) as first:
        await first.claim({SOURCE: 0})
    stopped = await asyncpg.connect(database_url, server_settings={"application_name": "ghostlink-bridge lane x"})
    await stopped.execute("BEGIN")
    await stopped.execute("SELECT * FROM stream_offset FOR UPDATE")
    async with owner(database_url) as heir:
        assert await heir.claim({SOURCE: 0}) == {SOURCE: 0}
    stopped.terminate()


async def test_a_session_that_works_is_left_to_its_work(database_url: str) -> None:
    """A lane does not end a slow session that is active; otherwise two lanes would abort each other for ever."""
    async with owner(database_url, lock_timeout=1.0) as waiting:
        await waiting.claim({SOURCE: 0})
        slow = await asyncpg.connect(database_url, server_settings={"application_name": "ghostlink-bridge lane y"})
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute("SELECT * FROM stream_offset FOR UPDATE")
        working = asyncio.create_task(slow.execute("SELECT pg_sleep(2)"))
        gave_up = await asyncio.gather(waiting.commit([outcomes(0, 100)]), return_exceptions=True)
        assert getattr(gave_up[0], "sqlstate", None) == "55P03"
        await working
        await transaction.commit()
        await slow.close()
        await waiting.commit([outcomes(0, 100)])


async def test_an_answer_that_never_comes_is_cut_off(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement without an answer is cancelled after OPERATION_SECONDS and raised as a Postgres time-out."""
    async with owner(database_url, lock_timeout=30.0) as waiting:
        await waiting.claim({SOURCE: 0})
        stranger = await asyncpg.connect(database_url, server_settings={"application_name": "psql"})
        await stranger.execute("BEGIN")
        await stranger.execute("SELECT * FROM stream_offset FOR UPDATE")
        with monkeypatch.context() as patch:
            patch.setattr(postgres_sink, "OPERATION_SECONDS", 0.5)
            with pytest.raises(SinkUnavailable, match="no answer from Postgres within") as caught:
                await waiting.commit([outcomes(0, 100)])
        assert caught.value.sqlstate == "57014"
        await stranger.close()
        await waiting.commit([outcomes(0, 100)])


async def test_a_strangers_lock_is_left_alone(database_url: str) -> None:
    """A session of another application is never ended: the commit fails with a lock time-out."""
    async with owner(database_url, lock_timeout=0.5) as waiting:
        await waiting.claim({SOURCE: 0})
        stranger = await asyncpg.connect(database_url, server_settings={"application_name": "psql"})
        await stranger.execute("BEGIN")
        await stranger.execute("SELECT * FROM stream_offset FOR UPDATE")

        gave_up = await asyncio.gather(waiting.commit([outcomes(0, 100)]), return_exceptions=True)

        assert getattr(gave_up[0], "sqlstate", None) == "55P03"
        await stranger.execute("COMMIT")
        await waiting.commit([outcomes(0, 100)])
        await stranger.close()
    assert await count_of(database_url, "bridge_event") == 100
