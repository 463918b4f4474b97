"""The number of items of a plan in memory at the same time."""

from uuid import uuid4

from support.events.dead_letters import add_dropped, dropped

from schemas.documents.dead_letter_filter import DeadLetterFilter
from sinks.postgres.connection import connection
from sinks.postgres.replay_items.items import page_end
from sinks.postgres.replays.plans import freeze, planning

MIB = 1024 * 1024


async def test_large_ones_are_taken_some_at_a_time(database_url: str) -> None:
    """One read has at most 16 MiB and at least one item, and of small items the number requested."""
    sizes = [0, 9, 6, 1, 20, 1, 1, 1]
    async with connection(database_url, "test") as conn:
        # A row from before the limit of a body's length may be larger.
        await conn.execute("DROP TRIGGER bridge_event_raw_limits ON bridge_event_raw")
    await add_dropped(database_url, [dropped(offset, payload=b"x" * size * MIB) for offset, size in enumerate(sizes)])
    async with planning(database_url, keep=False) as conn:
        replay_id = str(uuid4())
        assert await freeze(conn, replay_id, DeadLetterFilter(), reason="", corrections=[], limit=None) == len(sizes)
        assert [await page_end(conn, replay_id, after, 100) for after in (0, 3, 4, 5, 8)] == [3, 4, 5, 8, None]
        assert await page_end(conn, replay_id, 0, 2) == 2
