"""Outcomes of dropped events: each counts once, by its last replay, in total, by site and by day."""

from datetime import timedelta

import asyncpg
from support.events.dead_letters import DROPPED_AT, DroppedRow, add_dropped, dropped

from schemas.documents.afterwards import Afterwards, in_words
from schemas.reasons import DroppedReason
from sinks.postgres.audit.drops import became, drops_by, summed
from sinks.postgres.connection import connection

DUPLICATE = {"dropped_reason": DroppedReason.DUPLICATE_EVENT_ID, "disposition": None}
OLD = DROPPED_AT - timedelta(days=2)


_WAITS = """
UPDATE bridge_event_raw SET normalized = false, next_retry_at = now(), retry_count = 1 WHERE raw_offset = 118;
UPDATE bridge_event_raw SET sent_again = true WHERE raw_offset IN (4, 120)
"""


def replayed(offset: int, successor: int, **changed: object) -> DroppedRow:
    return dropped(offset, disposition="replayed", replayed_as=f"bridge.raw:0:{successor}", **changed)


def life(offset: int, before: int, **changed: object) -> DroppedRow:
    """A replay of the row at `before`, dropped again unless `changed` has other values."""
    return dropped(offset, replay_of=f"bridge.raw:0:{before}", **changed)


ROWS = [
    dropped(0),
    dropped(1, disposition="discarded"),
    dropped(2, disposition="claimed"),
    dropped(3, **DUPLICATE),
    # Its producer sent it again, for which its last replay generation was closed.
    replayed(20, 120),
    life(120, 20, disposition="discarded"),
    dropped(4, disposition="discarded"),
    # Persisted, without a row of its own; persisted after a retry; dropped as a duplicate; dropped again and open.
    replayed(10, 110),
    replayed(11, 111),
    life(111, 11, dropped_reason=None, disposition=None),
    replayed(12, 112),
    life(112, 12, **DUPLICATE),
    replayed(13, 113),
    life(113, 13),
    # Dropped twice, then persisted; dropped again and discarded; waiting for a retry; claimed by a second replay.
    replayed(14, 114, site_id=None),
    replayed(114, 115, replay_of="bridge.raw:0:14", site_id=None),
    replayed(115, 116, replay_of="bridge.raw:0:114", site_id=None),
    replayed(15, 117),
    life(117, 15, disposition="discarded"),
    replayed(16, 118),
    life(118, 16, dropped_reason=None, disposition=None),
    replayed(17, 119, dropped_at=OLD),
    life(119, 17, disposition="claimed"),
]


async def filled(dsn: str) -> None:
    await add_dropped(dsn, ROWS)
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute(_WAITS)
    finally:
        await conn.close()


async def test_a_dropped_event_counts_once_by_its_last_replay(database_url: str) -> None:
    """The outcomes sum up to all rows with a dropped_reason."""
    await filled(database_url)
    async with connection(database_url, "test") as conn:
        found = await became(conn)
        rows = await conn.fetchval("SELECT count(*) FROM bridge_event_raw WHERE dropped_reason IS NOT NULL")
    assert found == {
        Afterwards.OPEN: 2,
        Afterwards.DISCARDED: 2,
        Afterwards.REPLAYING: 3,
        Afterwards.DUPLICATE: 1,
        Afterwards.RECOVERED: 3,
        Afterwards.SENT_AGAIN: 3,
        Afterwards.REPLAY: 7,
    }
    assert sum(found.values()) == rows
    assert in_words(found) == (
        "3 recovered, 3 sent again, 3 in a replay, 2 discarded, 1 duplicates, 7 replays of others of these, 2 open"
    )


async def test_drops_count_where_and_when_they_happened(database_url: str) -> None:
    """Drops count by day and by site, and those without a readable site for site 0."""
    await filled(database_url)
    by_site = await drops_by(database_url, "site", DROPPED_AT)
    assert by_site["0"].became == {Afterwards.RECOVERED: 1, Afterwards.REPLAY: 2}
    assert by_site["1"].became[Afterwards.REPLAYING] == 2
    assert summed(by_site.values()).became[Afterwards.RECOVERED] == 3
    by_day = await drops_by(database_url, "day", OLD)
    assert by_day[f"{OLD:%Y-%m-%d}"].became == {Afterwards.REPLAYING: 1}
    (of_none,) = (await drops_by(database_url, "day", OLD, 0)).items()
    assert of_none == (
        f"{DROPPED_AT:%Y-%m-%d}",
        ({DroppedReason.SCHEMA_VIOLATION: 1}, {Afterwards.RECOVERED: 1, Afterwards.REPLAY: 2}),
    )
    assert await drops_by(database_url, "site", DROPPED_AT + timedelta(seconds=1)) == {}
