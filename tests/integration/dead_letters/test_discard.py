"""open -> discarded is a compare-and-set: a dead letter that a replay has claimed stays the replay's."""

import asyncio

import asyncpg
from support.events.dead_letters import add_dropped, dropped
from support.infrastructure.databases import LOCK_AWAITED
from support.wait import wait_until

from schemas.documents.dead_letter_filter import DeadLetterFilter, Disposition
from schemas.pipeline.record import Provenance
from sinks.postgres.dead_letters.discard import discard, not_dropped
from sinks.postgres.dead_letters.pages import page

ALL = DeadLetterFilter(disposition=None)
RUN = "20261121T140000Z-beef"


def place(offset: int) -> Provenance:
    return Provenance("bridge.raw", 0, offset)


async def test_only_what_is_still_open_is_discarded(database_url: str) -> None:
    """Claimed, replayed, discarded, duplicate and unknown ones are unchanged and not counted."""
    others = ["claimed", "replayed", "discarded", None]
    rows = [dropped(0), *(dropped(1 + number, disposition=one) for number, one in enumerate(others)), dropped(9)]
    await add_dropped(database_url, rows)
    assert await discard(database_url, [place(number) for number in (*range(5), 77)], RUN) == 1
    found = {line.provenance.offset: line.disposition for line in (await page(database_url, ALL, limit=10)).lines}
    assert found == {0: "discarded", 1: "claimed", 2: "replayed", 3: "discarded", 9: "open"}
    assert await discard(database_url, [place(0)], RUN) == 0


async def test_one_that_is_being_claimed_is_waited_for_and_left(database_url: str) -> None:
    """A discard that waits for a claim's lock leaves the claimed dead letter."""
    await add_dropped(database_url, [dropped(0), dropped(1)])
    claiming = await asyncpg.connect(database_url)
    try:
        async with claiming.transaction():
            await claiming.execute("UPDATE bridge_event_raw SET disposition = 'claimed' WHERE raw_offset = 1")
            discarding = asyncio.create_task(discard(database_url, [place(0), place(1)], RUN))
            await wait_until(lambda: claiming.fetchval(LOCK_AWAITED), budget_seconds=60, describe="the discard to wait")
    finally:
        await claiming.close()
    assert await discarding == 1
    (line,) = (await page(database_url, DeadLetterFilter(disposition=(Disposition.CLAIMED,)), limit=9)).lines
    assert line.provenance == place(1)


async def test_what_is_no_dead_letter_is_named(database_url: str) -> None:
    """Provenances that the ledger doesn't have as dropped are returned."""
    await add_dropped(database_url, [dropped(0)])
    assert await not_dropped(database_url, [place(0), place(1)]) == [place(1)]
    assert await not_dropped(database_url, []) == []
