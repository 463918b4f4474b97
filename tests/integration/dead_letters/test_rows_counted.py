"""`kpi`, `gate show` and `audit` agree: normalized and recovered events are the rows, each once."""

import json

from support.events.replays import dead_letters, dlq, late, plan, replay_settings, until
from support.events.settled import environment_of, event, fetch, produce, working
from support.processes.command import bridge_text

from sinks.postgres.registry.admin import add_script
from streams.audit import audit

OWN = {"script_id": "s1", "site_id": 1}
OTHER = {"script_id": "later", "site_id": 2}


async def test_normalized_and_recovered_are_the_rows(stack, database_url, topic_prefix) -> None:
    """The counts agree by site and in total, with copies in a plan, events sent again, and a forced second replay."""
    settings = replay_settings(stack, database_url, topic_prefix)
    sent_wrong = [event(number, event_type="", **OWN) for number in range(10, 13)]
    await dead_letters(settings, [*late(4), *late(1), *(event(number, **OTHER) for number in range(2)), *sent_wrong])
    await produce(settings, [event(number, **OWN) for number in range(10, 13)])
    await add_script(database_url, "late", 1)
    await add_script(database_url, "later", 2)
    first, _ = await plan(settings, "--script-id", "late", "--script-id", "later")
    async with working(settings):
        await until(settings, "SELECT count(*) = 3 FROM bridge_event")
        await dlq(settings, "replay", first)
        await dlq(settings, "discard", "--persisted", "--reason", "sent again", "--yes")
        forced, _ = await plan(settings, "--script-id", "late", "--disposition", "replayed")
        await dlq(settings, "replay", forced, "--force")
    rows = {row["site_id"]: row["rows"] for row in await fetch(settings, _ROWS)}
    assert rows == {1: 7, 2: 2}
    totals = (await audit(settings)).totals
    assert (totals.persisted, totals.dropped_became) == (9, {"recovered": 6, "sent_again": 4, "replay": 6})
    environment = environment_of(settings)
    for words, persisted in ((("--site-id", "1"), 7), (("--site-id", "2"), 2), ((), 9)):
        done = await bridge_text("kpi", *words, "--json-output", "-", settings=environment)
        total = json.loads(done.stdout)["total"]
        assert (total["normalized"] + total["recovered"], total["success_rate_with_replays_pct"]) == (persisted, 100.0)
    done = await bridge_text("gate", "show", "--json-output", "-", settings=environment)
    assert {one["target"]: (one["recovered"], one["sent_again"]) for one in json.loads(done.stdout)} == {
        "site:1": (4, 4), "site:2": (2, 0), "total": (6, 4),
    }  # fmt: skip


_ROWS = "SELECT site_id, count(*) AS rows FROM bridge_event GROUP BY site_id"
