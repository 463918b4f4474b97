"""Bounds of a replay: it never sends items outside its plan, claimed ones, or any while the breaker is open.

It sends its items regardless of what another account wrote into its plan.
"""

import asyncio
import json
from collections.abc import Sequence
from uuid import uuid4

import asyncpg
import pytest
from support.events.replays import assert_balanced, dead_letters, dlq, late, plan, replay_settings, status, until
from support.events.settled import environment_of, fetch, produce, working
from support.infrastructure.accounts import account, execute
from support.infrastructure.databases import LOCK_AWAITED, as_admin
from support.processes.command import bridge
from support.wait import wait_until

from bridge.jobs.frame import RunOptions, perform
from bridge.jobs.plan import PlanOptions, plan_job
from bridge.jobs.replay import ReplayOptions, replay_job
from schemas.config.service import Service
from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.documents.replay import ReplaySummary
from sinks.kafka.replay_publisher import Replayed, ReplayPublisher
from sinks.postgres.registry.admin import add_script
from sinks.postgres.replay_items.items import MOST_BYTES, claim, read_items
from streams.rules.correction import read_correction


async def test_a_plan_holds_what_it_held(stack, database_url, topic_prefix) -> None:  # type: ignore[no-untyped-def]  # the stack's own
    """A dead letter that fits the filter but was dropped after the plan stays open."""
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(5))
    frozen, _ = await plan(settings, "--script-id", "late")
    await produce(settings, late(4, first=5))
    async with working(settings):
        await until(settings, "SELECT count(*) = 9 FROM bridge_event_raw WHERE normalized")
        await add_script(database_url, "late", 1)
        out, _ = await dlq(settings, "replay", frozen, "--json-output", "-")
    assert ReplaySummary.model_validate_json(out).outcomes == {"persisted": 5}
    rows = await fetch(settings, "SELECT disposition, count(*) FROM bridge_event_raw GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in rows] == [("open", 4), ("replayed", 5)]
    await assert_balanced(settings)


async def test_what_another_is_claiming_is_waited_for_and_left(stack, database_url, topic_prefix) -> None:  # type: ignore[no-untyped-def]  # as above
    """The replay locks an item from its check to its claim; otherwise two replays could both send it."""
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(3))
    first, _ = await plan(settings, "--script-id", "late")
    second, _ = await plan(settings, "--script-id", "late")
    # As if a run had started it.
    await fetch(settings, "UPDATE replay SET state = 'running' WHERE replay_id = $1::text::uuid", first)
    conn = await asyncpg.connect(settings.dsn)
    try:
        async with conn.transaction():
            items = await read_items(conn, first, 0, 3, max_lives=5, lock=True)
            words = ("dlq", "replay", second, "--wait", "0s", "--json-output", "-")
            running = asyncio.create_task(asyncio.to_thread(bridge, *words, settings=environment_of(settings)))
            await until(settings, LOCK_AWAITED)
            await claim(conn, first, items, [Replayed(one.provenance, one.body) for one in items])
        done = await running
    finally:
        await conn.close()
    summary = ReplaySummary.model_validate(json.loads(done.stdout))
    assert (summary.sent_total, summary.skipped_by_reason) == (0, {f"claimed by the replay {first}": 3})


async def test_nothing_is_sent_while_the_brake_is_on(stack, database_url, topic_prefix) -> None:  # type: ignore[no-untyped-def]  # as above
    """The replay ends with the breaker's reason, and the same command resumes after the release."""
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(5))
    await add_script(database_url, "late", 1)
    plan_id, _ = await plan(settings, "--script-id", "late")
    own = environment_of(settings)
    engaged = await asyncio.to_thread(bridge, "breaker", "engage", "--reason", "acme's deploy", settings=own)
    assert engaged.returncode == 0, engaged.stderr
    _, err = await dlq(settings, "replay", plan_id, code=1)
    assert "the circuit breaker is open: acme's deploy" in err
    found = await status(settings, plan_id)
    assert (found["state"], found["outcomes"]) == ("stopped", {"open": 5})
    assert "acme" not in found["ended_because"]
    released = await asyncio.to_thread(bridge, "breaker", "release", "--reason", "mended", settings=own)
    assert released.returncode == 0, released.stderr
    async with working(settings):
        out, _ = await dlq(settings, "replay", plan_id, "--json-output", "-")
    assert ReplaySummary.model_validate_json(out).outcomes == {"persisted": 5}
    await assert_balanced(settings)


async def test_a_replay_goes_on_where_the_ledger_says(stack, database_url, topic_prefix) -> None:  # type: ignore[no-untyped-def]  # as above
    """The replay reads the ledger, not the plan's own progress, which another account has changed here.

    A gap of millions of positions is passed quickly.
    """
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(6))
    await add_script(database_url, "late", 1)
    plan_id, _ = await plan(settings, "--script-id", "late")
    await fetch(settings, "UPDATE replay_item SET position = 900000000 WHERE position = 6")
    with account(as_admin(stack, database_url), Service.API) as url:
        await execute(
            url,
            "UPDATE replay SET sent_to = 900000000, published = 6, state = 'sent', ended_by = 'root@host'",
            "UPDATE replay_item SET skipped = 'forged'",
        )
    words = ("replay", plan_id, "--canary", "2", "--wait", "60s", "--json-output", "-")
    async with working(settings):
        out, err = await dlq(settings, *words)
        again, _ = await dlq(settings, *words)
    summary = ReplaySummary.model_validate_json(out)
    assert (summary.sent_total, summary.state, summary.outcomes) == (6, "sent", {"persisted": 6})
    assert "the canary of 2 passed" in err
    assert ReplaySummary.model_validate_json(again).sent_total == 0
    assert (await status(settings, plan_id))["published"] == 6
    await assert_balanced(settings)


async def test_a_replay_whose_items_are_opened_again_is_not_sent(stack, database_url, topic_prefix) -> None:  # type: ignore[no-untyped-def]  # as above
    """The replay stops with the number of open items, and the same command sends them."""
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(3))
    await add_script(database_url, "late", 1)
    plan_id, _ = await plan(settings, "--script-id", "late")
    # Another account does this with `let_go_dead_letters` during a run.
    await execute(
        database_url,
        "CREATE FUNCTION let_go() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.disposition := 'open'; NEW.replay_id := NULL; RETURN NEW; END $$",
        "CREATE TRIGGER let_go BEFORE UPDATE ON bridge_event_raw FOR EACH ROW WHEN (NEW.disposition = 'claimed') "
        "EXECUTE FUNCTION let_go()",
    )
    out, err = await dlq(settings, "replay", plan_id, "--json-output", "-", code=1)
    summary = ReplaySummary.model_validate_json(out)
    assert (summary.state, summary.outcomes) == ("stopped", {"open": 3})
    assert "3 open" in err
    await execute(database_url, "DROP TRIGGER let_go ON bridge_event_raw")
    count = "SELECT count(*) FROM bridge_event"
    async with working(settings):

        async def first_copies_are_rows() -> bool:
            return bool((await fetch(settings, count))[0][0] == 3)

        # The first copies are new events, since their claims were released. Copies that a worker reads after the second
        # claim would be what that has sent.
        await wait_until(first_copies_are_rows, budget_seconds=60, describe="rows of the first copies")
        out, _ = await dlq(settings, "replay", plan_id, "--wait", "60s", "--json-output", "-")
    summary = ReplaySummary.model_validate_json(out)
    assert (summary.state, summary.outcomes) == ("sent", {"duplicate": 3})
    assert (await fetch(settings, count))[0][0] == 3


async def test_a_batch_of_large_corrections_is_small(
    stack, database_url, topic_prefix, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]  # as above
    """The correction counts for each item of a batch; otherwise Kafka takes too long to accept it."""
    sizes: list[int] = []
    publish = ReplayPublisher.publish

    async def measured(self: ReplayPublisher, replay_id: str, records: Sequence[Replayed]) -> list[Replayed]:
        sizes.append(sum(len(one.body.value or b"") for one in records))
        return await publish(self, replay_id, records)

    monkeypatch.setattr(ReplayPublisher, "publish", measured)
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(300))
    patch = '[{"op": "add", "path": "/properties", "value": {"p": "' + "x" * 60_000 + '"}}]'
    correction = read_correction([], patch.encode())
    options = PlanOptions(DeadLetterFilter(), correction, reason="large", limit=None, passing=False)
    plan_id = uuid4()
    await perform(plan_job(settings, options, plan_id), settings, RunOptions())
    job = replay_job(settings, ReplayOptions(str(plan_id), 1_000_000))
    summary, _ = await perform(job, settings, RunOptions(str(plan_id)))
    assert summary.sent_total == 300
    assert max(sizes) <= MOST_BYTES
