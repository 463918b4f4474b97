"""Two lanes commit copies of one event at the same time: exactly one of the copies becomes a row."""

import asyncio
from collections.abc import Collection

import asyncpg
import pytest
from integration.postgres.test_lock_order import INSERT_KEY, awaited
from integration.worker.test_fencing import SOURCE, outcomes, owner

from schemas.reasons import ErrorClass
from sinks.postgres import sink as postgres_sink
from sinks.postgres import transaction


async def test_an_event_whose_key_another_lane_inserts_meanwhile_is_a_duplicate(database_url: str) -> None:
    """The other transaction commits its key after this one has found the key free."""
    batch = outcomes(0, 3)
    contested = batch.candidates[1]
    looking, other = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    async with owner(database_url, lock_timeout=30) as sink:
        await sink.claim({SOURCE: 0})
        await other.execute("BEGIN")
        await other.execute(INSERT_KEY, contested.key)
        committing = asyncio.create_task(sink.commit([batch]))
        await awaited(looking)
        await other.execute("COMMIT")
        result = await committing
    rows = await looking.fetchval("SELECT count(*) FROM bridge_event")
    for conn in (looking, other):
        await conn.close()

    assert [(one.event_id, one.error_class) for one in result.failures] == [
        (contested.event.event_id, ErrorClass.DUPLICATE_EVENT_ID)
    ]
    assert (rows, result.tally.normalized) == (2, 2)


async def test_after_a_contested_key_the_lane_commits_at_the_first_try(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lane whose keys are contested inserts the next ones by a statement that no other transaction makes fail."""
    tries = []
    settle = postgres_sink.settle_in_transaction

    async def counted(*arguments: object, contested: bool) -> object:
        tries.append(contested)
        return await settle(*arguments, contested=contested)  # type: ignore[arg-type]

    monkeypatch.setattr(postgres_sink, "settle_in_transaction", counted)
    first, second = outcomes(0, 2), outcomes(2, 4)
    looking, other = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    async with owner(database_url, lock_timeout=30) as sink:
        await sink.claim({SOURCE: 0})
        for batch in (first, second):
            await other.execute("BEGIN")
            await other.execute(INSERT_KEY, batch.candidates[0].key)
            committing = asyncio.create_task(sink.commit([batch]))
            await awaited(looking)
            await other.execute("COMMIT")
            await committing
    for conn in (looking, other):
        await conn.close()

    assert tries == [False, True, True]


async def test_a_contested_key_whose_holder_vanishes_makes_a_duplicate(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event becomes a row without a key, even if the key is removed between the insert and the look at its holder."""
    batch = outcomes(0, 2)
    contested = batch.candidates[0]
    holders = transaction.key_holders
    async with owner(database_url, lock_timeout=30) as sink:
        await sink.claim({SOURCE: 0})
        other = await asyncpg.connect(database_url)
        await other.execute(INSERT_KEY, contested.key)

        async def vanished(connection: asyncpg.Connection, keys: Collection[bytes]) -> object:
            await other.execute("DELETE FROM bridge_event_key WHERE event_key = $1", contested.key)
            return await holders(connection, keys)

        monkeypatch.setattr(transaction, "key_holders", vanished)
        sink._contested_until = float("inf")
        result = await sink.commit([batch])
        await other.close()

    assert [one.event_id for one in result.failures] == [contested.event.event_id]
    assert result.tally.normalized == 1
