"""Items of a plan that it never sent and that were closed or claimed elsewhere."""

import json
import uuid

import asyncpg
from support.events.dead_letters import add_dropped, dropped
from support.events.replays import dlq, plan, replay_settings, status

OTHER = str(uuid.uuid4())


async def test_only_what_nobody_dealt_with_is_open(stack, database_url, topic_prefix) -> None:
    """The plan's status and end show the reason for each other item, as a replay would."""
    settings = replay_settings(stack, database_url, topic_prefix)
    await add_dropped(database_url, [dropped(offset) for offset in range(5)])
    plan_id, _ = await plan(settings, "--all", "--yes")
    assert (await status(settings, plan_id))["outcomes"] == {"open": 5}
    await dlq(settings, "discard", "--provenance", "bridge.raw:0:0", "--reason", "broken", "--yes")
    conn = await asyncpg.connect(database_url)
    await conn.execute(
        "UPDATE bridge_event_raw SET replay_id = $1, "
        "disposition = CASE raw_offset WHEN 1 THEN 'claimed' ELSE 'replayed' END WHERE raw_offset IN (1, 2)",
        OTHER,
    )
    await conn.close()
    whys = {"discarded": 1, f"claimed by the replay {OTHER}": 1, f"replayed already, by {OTHER}": 1}
    found = await status(settings, plan_id)
    assert (found["outcomes"], found["skipped"]) == ({"open": 2, "skipped": 3}, whys)
    out, _ = await dlq(settings, "cancel", plan_id, "--reason", "discarded", "--json-output", "-")
    summary = json.loads(out)
    assert (summary["outcomes"], summary["skipped_by_reason"]) == ({"open": 2, "skipped": 3}, whys)
    assert summary["processed_total"] == 2
