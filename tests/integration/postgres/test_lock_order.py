"""Commits lock shared rows in one order, regardless of the order of reading: they wait without deadlock."""

import asyncio

import asyncpg
import pytest
from integration.worker.test_fencing import SOURCE, outcomes, owner
from support.infrastructure.databases import LOCK_AWAITED
from support.wait import wait_until

from schemas.pipeline.record import TopicPartition
from sinks.postgres.statements import sql

OTHER = TopicPartition(SOURCE.topic, 1)
UNORDERED = ("enable_mergejoin", "enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan")
"""With these off, a plan reads rows in their stored order, and no index sorts them by chance."""
INSERT_KEY = "INSERT INTO bridge_event_key (event_key, received_at, sender) VALUES ($1, now(), 'direct')"


async def awaited(conn: asyncpg.Connection) -> None:
    await wait_until(lambda: conn.fetchval(LOCK_AWAITED), budget_seconds=30, describe="a settlement that waits")


@pytest.mark.parametrize("first", [0, 1])
async def test_offset_rows_are_locked_by_topic_and_partition(database_url: str, first: int) -> None:
    """The first row is locked before the commit waits for the second, which another session holds."""
    looking, stranger = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    name = await looking.fetchval("SELECT current_database()")
    for setting in UNORDERED:
        await looking.execute(f"ALTER DATABASE {name} SET {setting} = off")
    async with owner(database_url, lock_timeout=30) as sink:
        # The second batch's row comes first in the table.
        await sink.claim({OTHER: 0})
        await sink.claim({SOURCE: 0})
        await stranger.execute("BEGIN")
        await stranger.execute("SELECT * FROM stream_offset WHERE partition = 1 FOR UPDATE")
        batches = [outcomes(0, 3), outcomes(0, 3, OTHER)]
        committing = asyncio.create_task(sink.commit(batches if first == 0 else batches[::-1]))
        await awaited(looking)
        free = await looking.fetch("SELECT partition FROM stream_offset WHERE partition = 0 FOR UPDATE SKIP LOCKED")
        await stranger.execute("COMMIT")
        await committing
    for conn in (looking, stranger):
        await conn.close()
    assert free == []


async def test_the_order_of_offset_rows_is_that_of_the_statement(database_url: str) -> None:
    """Rows can come in their order by chance: the plan sorts them before it locks them."""
    conn = await asyncpg.connect(database_url)
    for setting in UNORDERED:
        await conn.execute(f"SET {setting} = off")
    plan = await conn.fetch(f"EXPLAIN {sql('offsets_lock')}", "any", ["a", "b"], [1, 0])
    await conn.close()
    lines = [row[0].strip() for row in plan]
    assert [lines[0].split()[0], *lines[1].split()[:2]] == ["LockRows", "->", "Sort"]
    assert lines[2] == "Sort Key: o.topic, o.partition"


@pytest.mark.parametrize("larger_first", [False, True], ids=["smaller first", "larger first"])
async def test_keys_are_claimed_in_their_order(database_url: str, larger_first: bool) -> None:
    """The smaller key is claimed before the commit waits for the larger one, in any order of events."""
    batch = outcomes(0, 2)
    smaller, larger = sorted(one.key for one in batch.candidates)
    batch.candidates.sort(key=lambda one: one.key, reverse=larger_first)
    looking, stranger = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    await looking.execute("SET lock_timeout = '200ms'")
    async with owner(database_url, lock_timeout=30) as sink:
        await sink.claim({SOURCE: 0})
        await stranger.execute("BEGIN")
        await stranger.execute(INSERT_KEY, larger)
        committing = asyncio.create_task(sink.commit([batch]))
        await awaited(looking)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await looking.execute(INSERT_KEY, smaller)
        await stranger.execute("ROLLBACK")
        await committing
    for conn in (looking, stranger):
        await conn.close()
