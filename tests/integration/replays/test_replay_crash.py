"""A replay that is killed, and its items in doubt: none is lost, none counts twice."""

import asyncio
import os
import random
import signal
from typing import Any

import pytest
from pydantic import SecretStr
from support.events.replays import assert_balanced, dead_letters, dlq, late, plan, replay_settings, status, until
from support.events.settled import environment_of, fetch, open_transaction, working
from support.infrastructure.accounts import account
from support.infrastructure.databases import as_admin
from support.processes.command import start

from bridge.jobs import replay as replay_run
from bridge.jobs.cancel import cancel_job
from bridge.jobs.frame import RunOptions, perform
from bridge.jobs.replay import ReplayOptions, replay_job
from schemas.config.service import Service
from schemas.config.settings import Settings
from schemas.errors import SinkUnavailable
from sinks.kafka.replay_publisher import ReplayPublisher
from sinks.postgres.registry.admin import add_script

ITEMS = 3000
KILLS = 5


async def prepared(stack: Any, database_url: str, topic_prefix: str, items: int) -> tuple[Settings, str]:
    """Dead letters that would pass now, and a plan of them."""
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(items))
    await add_script(database_url, "late", 1)
    plan_id, report = await plan(settings, "--all", "--yes")
    assert report["by_forecast"] == {"passes": items}
    return settings, plan_id


async def test_killed_five_times(stack, database_url, topic_prefix) -> None:
    """After SIGKILL at any point every event is persisted exactly once, and the audit balances."""
    settings, plan_id = await prepared(stack, database_url, topic_prefix, ITEMS)
    random_ = random.Random(6)
    async with working(settings):
        for kill in range(1, KILLS + 1):
            running = start("dlq", "replay", plan_id, "--rate", "450/s", settings=environment_of(settings), quiet=True)
            try:
                # Enough items remain after the last kill, also on a busy machine.
                sent = kill * ITEMS // (KILLS + 3)
                await until(settings, "SELECT published >= $1 FROM replay", sent)
                await asyncio.sleep(random_.uniform(0, 0.2))  # anywhere within a batch
                os.kill(running.pid, signal.SIGKILL)
                await asyncio.to_thread(running.wait, 10)
            finally:
                running.kill()
            out, _ = await dlq(settings, "status", plan_id)
            assert "its run was killed" in out
        await dlq(settings, "replay", plan_id)
    found = await status(settings, plan_id)
    assert (found["state"], found["published"], found["outcomes"]) == ("sent", ITEMS, {"persisted": ITEMS})
    (row,) = await fetch(settings, "SELECT count(*) AS rows, count(DISTINCT event_id) AS events FROM bridge_event")
    assert tuple(row) == (ITEMS, ITEMS)
    await assert_balanced(settings)


async def crashed(settings: Settings, plan_id: str) -> None:
    """A run that fails without cleaning up, as if it had been killed."""
    _, code = await perform(replay_job(settings, ReplayOptions(plan_id)), settings, RunOptions(plan_id))
    assert code != 0


async def stale(settings: Settings) -> int:
    return int((await fetch(settings, "SELECT sum(stale) FROM stream_offset"))[0][0])


async def test_killed_between_publication_and_its_note(stack, database_url, topic_prefix, monkeypatch) -> None:
    """The next run publishes the batch again under the same claim, and the second copies are stale."""
    settings, plan_id = await prepared(stack, database_url, topic_prefix, 200)

    async def killed(*_: object) -> None:
        raise SinkUnavailable("killed before the note")

    with monkeypatch.context() as patch:
        patch.setattr(replay_run, "note_sent", killed)
        await crashed(settings, plan_id)
    found = await status(settings, plan_id)
    assert (found["published"], found["outcomes"]) == (0, {"in_doubt": 200})
    _, report = await plan(settings, "--all", "--yes", "--disposition", "claimed")
    assert report["refusals"] == {f"claimed by the replay {plan_id}": 200}
    _, code = await perform(replay_job(settings, ReplayOptions(plan_id)), settings, RunOptions(plan_id))
    assert code == 0
    async with working(settings):
        await dlq(settings, "replay", plan_id)
        await until(settings, "SELECT sum(stale) = 200 FROM stream_offset")
    assert (await status(settings, plan_id))["outcomes"] == {"persisted": 200}
    await assert_balanced(settings)


async def test_settled_before_the_next_run(stack, database_url, topic_prefix, monkeypatch) -> None:
    """Items that a worker has committed meanwhile count as sent and are not published again."""
    settings, plan_id = await prepared(stack, database_url, topic_prefix, 200)

    async def killed(*_: object) -> None:
        raise SinkUnavailable("killed before the note")

    async with working(settings):
        with monkeypatch.context() as patch:
            patch.setattr(replay_run, "note_sent", killed)
            await crashed(settings, plan_id)
        await until(settings, "SELECT bool_and(outcome = 'persisted') FROM replay_outcome")
        await dlq(settings, "replay", plan_id)
    found = await status(settings, plan_id)
    assert (found["published"], found["outcomes"], await stale(settings)) == (200, {"persisted": 200}, 0)
    await assert_balanced(settings)


async def crashed_at_publishing(
    settings: Settings, plan_id: str, monkeypatch: pytest.MonkeyPatch, *, published: bool
) -> None:
    """A run that is killed before or after it has published its batch."""
    publish = ReplayPublisher.publish

    async def killed(self: ReplayPublisher, *arguments: Any) -> Any:
        if published:
            await publish(self, *arguments)
        raise SinkUnavailable("killed")

    with monkeypatch.context() as patch:
        patch.setattr(ReplayPublisher, "publish", killed)
        await crashed(settings, plan_id)


@pytest.mark.parametrize("published", [True, False])
async def test_cancelled_after_it_was_killed(stack, database_url, topic_prefix, monkeypatch, published: bool) -> None:
    """Items in doubt are opened only after the workers have read all copies that may have been sent."""
    settings, plan_id = await prepared(stack, database_url, topic_prefix, 200)
    await crashed_at_publishing(settings, plan_id, monkeypatch, published=published)
    assert (await status(settings, plan_id))["outcomes"] == {"in_doubt": 200}
    if published:
        _, err = await dlq(settings, "cancel", plan_id, "--reason", "enough", "--wait", "1s", code=1)
        assert "it is not known yet whether" in err
    async with working(settings):
        summary, code = await perform(cancel_job(settings, plan_id, "enough", 60), settings, RunOptions(plan_id))
    assert (code, summary.outcomes) == (0, {"persisted": 200} if published else {"open": 200})
    rows = await fetch(settings, "SELECT DISTINCT disposition, replay_id IS NULL FROM bridge_event_raw")
    assert [tuple(row) for row in rows] == ([("replayed", False)] if published else [("open", True)])
    await assert_balanced(settings)


async def test_cancelled_while_a_transaction_is_open(stack, database_url, topic_prefix, monkeypatch) -> None:
    """Copies behind another producer's open transaction may have been sent, although no worker can read them."""
    settings, plan_id = await prepared(stack, database_url, topic_prefix, 20)
    async with working(settings), open_transaction(settings, settings.topics.raw):
        await crashed_at_publishing(settings, plan_id, monkeypatch, published=True)
        _, err = await dlq(settings, "cancel", plan_id, "--reason", "enough", "--wait", "2s", code=1)
    assert "it is not known yet whether" in err

    async with working(settings):
        summary, code = await perform(cancel_job(settings, plan_id, "enough", 60), settings, RunOptions(plan_id))

    assert (code, summary.outcomes) == (0, {"persisted": 20})


@pytest.mark.parametrize("said", ["running", "sent"])
@pytest.mark.parametrize("published", [True, False])
async def test_cancelled_whatever_the_plan_says(
    stack, database_url, topic_prefix, monkeypatch, published: bool, said: str
) -> None:
    """A forged state of the plan doesn't matter: the cancel checks the raw topic."""
    settings, plan_id = await prepared(stack, database_url, topic_prefix, 20)
    await crashed_at_publishing(settings, plan_id, monkeypatch, published=published)
    await fetch(settings, "UPDATE replay SET sent_to = 20, published = 20, state = $1", said)
    assert (await status(settings, plan_id))["outcomes"] == {"unsettled": 20}
    if said == "running":
        _, err = await dlq(settings, "cancel", plan_id, "--reason", "enough")
        assert "20 items that were sent have no outcome yet; if some never get one, cancel the plan again" in err
    if published:
        _, err = await dlq(settings, "cancel", plan_id, "--reason", "enough", "--wait", "1s", code=1)
        assert "it is not known yet whether" in err
    async with working(settings):
        summary, code = await perform(cancel_job(settings, plan_id, "enough", 60), settings, RunOptions(plan_id))
    if said == "sent" and published:
        assert (code, (await status(settings, plan_id))["outcomes"]) == (3, {"persisted": 20})
    else:
        assert (code, summary.outcomes) == (0, {"persisted": 20} if published else {"open": 20})
    assert (await status(settings, plan_id))["state"] == ("sent" if said == "sent" and published else "cancelled")
    assert (await fetch(settings, "SELECT count(*) AS n FROM bridge_event_raw WHERE disposition = 'claimed'"))[0][
        "n"
    ] == 0
    await assert_balanced(settings)


async def test_a_plan_that_says_sent_is_cancelled_while_items_are_open(stack, database_url, topic_prefix) -> None:
    """An account can forge the state; if all items are really closed, the cancel is refused."""
    settings, plan_id = await prepared(stack, database_url, topic_prefix, 2)
    await fetch(settings, "UPDATE replay SET sent_to = 2, published = 2, state = 'sent'")
    await dlq(settings, "cancel", plan_id, "--reason", "enough")
    found = await status(settings, plan_id)
    assert (found["state"], found["outcomes"]) == ("cancelled", {"open": 2})
    await fetch(settings, "UPDATE replay SET state = 'sent'")
    await fetch(settings, "UPDATE bridge_event_raw SET disposition = 'discarded', discarded_by = 'x'")
    _, err = await dlq(settings, "cancel", plan_id, "--reason", "enough", code=3)
    assert "nothing is left to cancel" in err


async def test_only_one_run_of_a_plan_at_a_time(stack, database_url, topic_prefix) -> None:
    """The second run exits with 3 and names the holder of the lock."""
    settings, plan_id = await prepared(stack, database_url, topic_prefix, 200)
    running = start("dlq", "replay", plan_id, "--rate", "10/s", settings=environment_of(settings), quiet=True)
    try:
        await until(settings, "SELECT published > 2 FROM replay")
        _, err = await dlq(settings, "replay", plan_id[:6], code=3)
        assert "another run holds script:dlq-replay:" in err
    finally:
        running.kill()
        await asyncio.to_thread(running.wait, 10)


async def test_an_account_cancels_what_another_marked_as_sent(stack, database_url, topic_prefix, monkeypatch) -> None:
    """The API's account releases claims of a plan that the owner's run ended as sent, once the plan is cancelled."""
    settings, plan_id = await prepared(stack, database_url, topic_prefix, 20)
    await crashed_at_publishing(settings, plan_id, monkeypatch, published=False)
    await fetch(settings, "UPDATE replay SET sent_to = 20, published = 20, state = 'sent'")
    with account(as_admin(stack, database_url), Service.API) as url:
        theirs = settings.model_copy(update={"database_url": SecretStr(url)})
        async with working(settings):
            summary, code = await perform(cancel_job(theirs, plan_id, "enough", 60), theirs, RunOptions(plan_id))
    assert (code, summary.outcomes, summary.state) == (0, {"open": 20}, "cancelled")
    await assert_balanced(settings)
