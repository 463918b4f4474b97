"""The number of items of a plan in memory at the same time."""

import tracemalloc
from uuid import uuid4

import pytest
from support.events.dead_letters import add_dropped, dropped
from support.events.replays import replay_settings
from support.events.settled import event, prepare

from bridge.dev.stack import StackAddresses
from bridge.jobs.frame import RunOptions, perform
from bridge.jobs.plan import PlanOptions, plan_job
from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.reasons import ErrorClass
from sinks.postgres.connection import connection
from sinks.postgres.replay_items.items import page_end
from sinks.postgres.replays.plans import freeze, planning
from streams.rules.correction import Correction

MIB = 1024 * 1024


async def test_large_ones_are_taken_some_at_a_time(database_url: str) -> None:
    """One read has at most 8 MiB and at least one item, and of small items the number requested."""
    sizes = [0, 5, 2, 1, 20, 1, 1, 1]
    async with connection(database_url, "test") as conn:
        # A row from before the limit of a body's length may be larger.
        await conn.execute("DROP TRIGGER bridge_event_raw_limits ON bridge_event_raw")
    await add_dropped(database_url, [dropped(offset, payload=b"x" * size * MIB) for offset, size in enumerate(sizes)])
    async with planning(database_url, keep=False) as conn:
        replay_id = str(uuid4())
        assert await freeze(conn, replay_id, DeadLetterFilter(), reason="", corrections=[], limit=None) == len(sizes)
        assert [await page_end(conn, replay_id, after, 100, 0) for after in (0, 3, 4, 5, 8)] == [3, 4, 5, 8, None]
        assert await page_end(conn, replay_id, 0, 2, 0) == 2
        assert await page_end(conn, replay_id, 5, 100, 2 * MIB) == 7


@pytest.mark.parametrize(
    ("error_class", "most"), [(ErrorClass.SCHEMA_VIOLATION, 30 * MIB), (ErrorClass.SINK_REJECTED_ROW, 70 * MIB)]
)
async def test_a_dry_run_holds_no_more_for_a_large_correction(
    stack: StackAddresses, database_url: str, topic_prefix: str, error_class: ErrorClass, most: int
) -> None:
    """As a character is beyond the BMP, each event's text takes 244 kB; events are kept if Postgres refused them once."""
    settings = replay_settings(stack, database_url, topic_prefix)
    await prepare(settings)
    small = [event(number, script_id="s1", site_id=1) for number in range(1000)]
    rows = [dropped(number, payload=value, error_class=error_class) for number, value in enumerate(small)]
    await add_dropped(database_url, rows)
    large = Correction([{"op": "add", "path": "/properties", "value": {"p": "\U0001f600" + "y" * 61_000}}])
    options = PlanOptions(DeadLetterFilter(), large, reason="too much", limit=None, passing=False)
    tracemalloc.start()
    try:
        summary, _ = await perform(plan_job(settings, options, uuid4()), settings, RunOptions(dry_run=True))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert summary.report is not None
    assert summary.report.by_forecast == {"passes": len(rows)}
    assert peak < most
