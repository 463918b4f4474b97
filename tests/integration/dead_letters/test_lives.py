"""A whole dead letter, and its replay generations in both directions."""

import asyncpg
from support.events.dead_letters import DROPPED_AT, add_dropped, dropped

from schemas.pipeline.record import Provenance
from sinks.postgres.dead_letters.lives import Life, State, show
from sinks.postgres.ledger.rows import encode_headers

HEADERS = [("x-request-id", b"r\xff"), ("empty", None)]


def place(offset: int) -> Provenance:
    return Provenance("bridge.raw", 0, offset)


async def execute(database_url: str, statement: str, *values: object) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


async def normalized(database_url: str, offset: int, attempt: int) -> None:
    """Insert the event that the raw event of this offset became."""
    await execute(
        database_url,
        "INSERT INTO bridge_event (received_at, occurred_at, site_id, script_id, event_id, event_type, properties,"
        " schema_version, raw_topic, raw_partition, raw_offset, attempt)"
        " VALUES ($1, $1, 1, 's1', 'e-1', 'click', '{}', 1, 'bridge.raw', 0, $2, $3)",
        DROPPED_AT, offset, attempt,
    )  # fmt: skip


async def lives(database_url: str, offset: int) -> list[Life]:
    found = await show(database_url, place(offset))
    assert found is not None
    return found.lives


async def test_it_is_shown_whole(database_url: str) -> None:
    """Key, payload and headers are shown byte for byte."""
    await add_dropped(database_url, [dropped(1, key=b"\x00k", payload=b"\xff\x00", headers=encode_headers(HEADERS))])
    found = await show(database_url, place(1))
    assert found is not None
    assert (found.letter.body.key, found.letter.body.value) == (b"\x00k", b"\xff\x00")
    assert list(found.letter.body.headers) == HEADERS
    assert (found.letter.line.provenance, found.letter.line.attempt) == (place(1), 1)
    assert [(one.provenance, one.state, one.disposition) for one in found.lives] == [(place(1), State.DROPPED, "open")]


async def test_every_life_is_found_from_each_of_them(database_url: str) -> None:
    """Dropped, replayed and dropped again, replayed and persisted: in order, from either end."""
    rows = [
        dropped(0, disposition="replayed", replayed_as=str(place(5))),
        dropped(5, disposition="replayed", replay_of=str(place(0)), replayed_as=str(place(9)), attempt=3),
    ]
    await add_dropped(database_url, rows)
    await normalized(database_url, 9, 1)
    found = await lives(database_url, 0)
    assert [(one.provenance.offset, one.state, one.attempt) for one in found] == [
        (0, State.DROPPED, 1),
        (5, State.DROPPED, 3),
        (9, State.NORMALIZED, 1),
    ]
    assert await lives(database_url, 5) == found


async def test_a_replay_that_waits_healed_or_is_gone_says_so(database_url: str) -> None:
    """The last generation is read from the ledger or the events, and otherwise unknown."""
    rows = [dropped(number, disposition="replayed", replayed_as=str(place(10 + number))) for number in range(3)]
    await add_dropped(database_url, [*rows, dropped(10, replay_of=str(place(0))), dropped(11, replay_of=str(place(1)))])
    waiting = "next_retry_at = now(), normalized = false, retry_count = 2"
    for offset, changes in ((10, waiting), (11, "retry_count = 1")):
        await execute(
            database_url,
            f"UPDATE bridge_event_raw SET dropped_reason = NULL, disposition = NULL, {changes} WHERE raw_offset = $1",
            offset,
        )
    await normalized(database_url, 11, 2)
    ends = [(await lives(database_url, number))[-1] for number in range(3)]
    assert [(one.state, one.attempt) for one in ends] == [
        (State.WAITING, 2),
        (State.NORMALIZED, 2),
        (State.UNKNOWN, None),
    ]
    assert ends[0].error is not None
    assert ends[1].error is None
    # These are not dropped themselves.
    assert await show(database_url, place(10)) is None
    assert await show(database_url, place(77)) is None


async def test_a_chain_that_bites_its_tail_ends(database_url: str) -> None:
    """The search ends at a cycle in the ledger."""
    rows = [
        dropped(0, disposition="replayed", replay_of=str(place(1)), replayed_as=str(place(1))),
        dropped(1, disposition="replayed", replay_of=str(place(0)), replayed_as=str(place(0))),
    ]
    await add_dropped(database_url, rows)
    assert len(await lives(database_url, 0)) == 2
