"""Dead letters whose producers have sent the corrected event: found, closed, and counted as recovered."""

import asyncio
import json

import asyncpg
import pytest
from support.events.dead_letters import add_dropped, dropped
from support.events.replays import dead_letters, dlq, plan, replay_settings, until
from support.events.settled import environment_of, event, fetch, prepare, produce, working
from support.processes.command import bridge

from bridge.dead_letters.sent_again import sent_again
from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.pipeline.class_key import slot_key
from schemas.pipeline.registry import Script
from schemas.pipeline.sender import Sender
from sinks.cooperative import unshared
from sinks.postgres.dead_letters.stream import whose
from streams.pipeline.dedup_key import event_key

VISITOR, SERVER, DIRECT = Sender.VISITOR, Sender.SERVER, Sender.DIRECT
PLAIN = event_key(1, "e-1")


async def test_what_was_sent_again_is_told_and_closed_and_counts_once(stack, database_url, topic_prefix) -> None:
    """`plan` and `groups` show their number; `discard --persisted` closes only these."""
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, [event(number, event_type="") for number in range(5)])
    await produce(settings, [event(number) for number in range(3)])
    async with working(settings):
        await until(settings, "SELECT count(*) = 3 FROM bridge_event")
    _, report = await plan(settings, "--all", "--yes")
    assert report["by_forecast"] == {"persisted": 3, "fails_the_same": 2}
    groups = json.loads((await dlq(settings, "groups", "--json-output", "-"))[0])["groups"]
    assert [(one["dead_letters"], one["persisted"], one["looked_up"]) for one in groups] == [(5, 3, 5)]
    words = ("discard", "--persisted", "--reason", "fixed in 3.2")
    out, _ = await dlq(settings, *words, "--dry-run")
    assert "3 would be discarded as persisted meanwhile" in out
    out, _ = await dlq(settings, *words, "--yes")
    assert "3 discarded as persisted meanwhile; left as they are: 2 open\n" in out
    assert "it is not known" not in out
    rows = await fetch(settings, "SELECT event_id FROM bridge_event_raw WHERE disposition = 'open' ORDER BY event_id")
    assert [row["event_id"] for row in rows] == ["e-3", "e-4"]
    environment = environment_of(settings)
    audited = await asyncio.to_thread(bridge, "audit", settings=environment)
    assert "8 read: 3 persisted, 5 dropped" in audited.stdout.decode()
    assert "of the 5 dropped: 3 sent again, 2 open" in audited.stdout.decode()
    told = await asyncio.to_thread(bridge, "kpi", "--json-output", "-", settings=environment)
    total = json.loads(told.stdout)["total"]
    assert [total[name] for name in ("normalized", "recovered", "sent_again", "discarded", "open")] == [3, 0, 3, 0, 2]
    assert (total["success_rate_pct"], total["success_rate_with_replays_pct"]) == (37.5, 60.0)


async def test_what_persisted_leaves_open_is_told_with_the_reason(stack, database_url, topic_prefix) -> None:
    """A broken text has no event id, so it is unknown whether its corrected copy was persisted."""
    unread = {"event_id": None, "sender": DIRECT}
    await add_dropped(
        database_url,
        [dropped(0, sender=DIRECT), dropped(1, **unread), dropped(2, site_id=None, **unread), dropped(3, sender=None)],
    )
    settings = replay_settings(stack, database_url, topic_prefix)
    await prepare(settings)
    words = ("discard", "--persisted", "--reason", "mended by hand")
    for more, done in (("--dry-run", "would be discarded"), ("--yes", "discarded")):
        out, _ = await dlq(settings, *words, more)
        assert f"0 {done} as persisted meanwhile; left as they are: 4 open\n" in out
        assert "3 of the open dead letters have no readable site, event id or sender class, so it is not known" in out


@pytest.mark.parametrize(
    ("claimed", "shared", "found"),
    [
        ({PLAIN: SERVER}, False, {SERVER}),
        ({PLAIN: VISITOR}, False, {VISITOR}),
        ({PLAIN: None}, False, {VISITOR, SERVER, DIRECT}),
        ({PLAIN: VISITOR, slot_key(PLAIN, SERVER): SERVER}, False, {VISITOR, SERVER}),
        ({PLAIN: VISITOR}, True, {VISITOR}),
        ({PLAIN: SERVER}, True, {VISITOR, SERVER, DIRECT}),
        ({PLAIN: VISITOR, slot_key(PLAIN, SERVER): DIRECT}, True, {VISITOR, SERVER, DIRECT}),
        ({event_key(2, "e-1"): SERVER}, False, set()),
    ],
)
async def test_an_event_is_the_same_within_its_class_of_sender(
    database_url: str, claimed: dict[bytes, Sender | None], shared: bool, found: set[Sender]
) -> None:
    """A visitor's event does not recover a server's; dead letters without a sender class are skipped."""
    senders = [*Sender, None]
    await add_dropped(database_url, [dropped(number, sender=sender) for number, sender in enumerate(senders)])
    conn = await asyncpg.connect(database_url)
    try:
        for key, sender in claimed.items():
            await conn.execute("INSERT INTO bridge_event_key VALUES ($1, now(), $2)", key, sender)
    finally:
        await conn.close()
    registry = {"s1": Script("s1", 1, None, enabled=True, shared_ids=shared)}
    async for letters in whose(database_url, DeadLetterFilter(), unshared()):
        assert {one.sender for one in (await sent_again(database_url, registry, letters, unshared()))[0]} == found
