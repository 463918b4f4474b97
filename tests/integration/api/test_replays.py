"""Replays over HTTP: started, left to the service, watched by GET, resumed, cancelled, audited by token name."""

import asyncio
import signal
from pathlib import Path
from typing import Any

from support.events.replays import assert_balanced, dead_letters, late, replay_settings, seconds_from_cancel_to_stop
from support.events.settled import fetch, working
from support.processes.api import api, client, made_plan, ok, refused, sent, token, when
from support.processes.hook import listening
from support.wait import wait_until

from schemas.api_token import Role
from schemas.config.settings import Settings
from sinks.postgres.registry.admin import add_script
from streams.audit import audit

LATE = {"script_id": ["late"]}


async def prepared(stack: Any, database_url: str, prefix: str, items: int) -> Settings:
    """Dead letters that would pass now."""
    settings = replay_settings(stack, database_url, prefix)
    await dead_letters(settings, late(items))
    await add_script(database_url, "late", 1)
    return settings


async def runs(settings: Settings) -> list[tuple[object, ...]]:
    """Job, caller and exit code of each run, by time."""
    found = await fetch(
        settings, "SELECT script, split_part(started_by, '@', 1) AS by, exit_code FROM script_run ORDER BY started_at"
    )
    return [tuple(row) for row in found]


async def recorded(settings: Settings, *expected: tuple[object, ...]) -> None:
    """Wait until these are the runs: a run's end is recorded after its plan has ended."""

    async def as_expected() -> bool:
        return await runs(settings) == [*expected]

    await wait_until(as_expected, budget_seconds=20, describe=f"the runs {expected}")


async def test_from_plan_to_persisted(stack, database_url, topic_prefix, tmp_path: Path) -> None:
    """A canary, the rest, and the outcomes; every step is in the history under the token's name."""
    settings = await prepared(stack, database_url, topic_prefix, 60)
    text = await token(settings, "alice", org_id=1)
    with api(settings, tmp_path / "log") as found:
        async with client(found, text) as one, working(settings):
            planned = await one.post("/v1/plans", json={"filter": LATE, "reason": "the script is registered now"})
            summary = ok(planned, 201)
            assert summary["report"]["by_forecast"] == {"passes": 60}
            assert planned.headers["location"] == f"/v1/plans/{summary['replay_id']}"
            plan_id = summary["replay_id"]
            begun = ok(await one.post(f"/v1/plans/{plan_id}/replay", json={"canary": 10, "rate_per_second": 500}), 202)
            done = await when(one, plan_id, state="sent", running=False)
            assert (done["outcomes"], done["published"], done["org_id"]) == ({"persisted": 60}, 60, 1)
            assert done["requested_by"] == "token:alice"
            refused(await one.post(f"/v1/plans/{plan_id}/replay", json={}), 409, "plan_sent")
            refused(await one.post(f"/v1/plans/{plan_id}/cancel", json={"reason": "x"}), 409, "plan_sent")
            await recorded(settings, ("dlq-plan", "token:alice", 0), ("dlq-replay", "token:alice", 0))
            (run,) = await fetch(settings, "SELECT summary::text FROM script_run WHERE run_id = $1", begun["run_id"])
            assert '"sent_total": 60' in run["summary"]
    await assert_balanced(settings)


async def test_killed_service_goes_on_where_it_was(stack, database_url, topic_prefix, tmp_path: Path) -> None:
    """After SIGKILL another service resumes the plan: each event is persisted exactly once."""
    items = 400
    settings = await prepared(stack, database_url, topic_prefix, items)
    text = await token(settings, "alice", org_id=1)
    async with working(settings):
        with api(settings, tmp_path / "log") as found:
            async with client(found, text) as one:
                plan_id = await made_plan(one, filter=LATE)
                ok(await one.post(f"/v1/plans/{plan_id}/replay", json={"rate_per_second": 100}), 202)
                await sent(one, plan_id, 50)
                found.stop(signal.SIGKILL)
        with api(settings, tmp_path / "log") as found:
            async with client(found, text) as one:
                seen = await when(one, plan_id, running=False, resumable=True)
                assert (seen["state"], 50 <= seen["published"] < items) == ("running", True)
                ok(await one.post(f"/v1/plans/{plan_id}/replay", json={}), 202)
                done = await when(one, plan_id, state="sent", running=False)
                assert done["outcomes"] == {"persisted": items}
    (row,) = await fetch(settings, "SELECT count(*), count(DISTINCT event_id) FROM bridge_event")
    assert tuple(row) == (items, items)
    await recorded(
        settings, ("dlq-plan", "token:alice", 0), ("dlq-replay", "token:alice", None), ("dlq-replay", "token:alice", 0)
    )
    await assert_balanced(settings)


async def test_drained_service_leaves_a_plan_to_be_gone_on_with(
    stack, database_url, topic_prefix, tmp_path: Path
) -> None:
    """SIGTERM ends the run after its batch, records the reason, and the service exits with 0.

    Another service resumes the plan.
    """
    settings = await prepared(stack, database_url, topic_prefix, 200)
    text = await token(settings, "alice")
    async with working(settings):
        with api(settings, tmp_path / "log") as found:
            async with client(found, text) as one:
                plan_id = await made_plan(one, filter=LATE)
                ok(await one.post(f"/v1/plans/{plan_id}/replay", json={"rate_per_second": 20}), 202)
                refused(await one.post(f"/v1/plans/{plan_id}/replay", json={}), 409, "plan_running")
                await sent(one, plan_id, 1)
            assert await asyncio.to_thread(found.stop) == 0
        (run,) = await fetch(settings, "SELECT exit_code, summary::text FROM script_run WHERE script = 'dlq-replay'")
        assert (run["exit_code"], "stopped by the end of the service" in run["summary"]) == (1, True)
        (plan,) = await fetch(settings, "SELECT state, ended_because FROM replay")
        assert tuple(plan) == ("stopped", "it was stopped")
        with api(settings, tmp_path / "log") as found:
            async with client(found, text) as one:
                ok(await one.post(f"/v1/plans/{plan_id}/replay", json={}), 202)
                assert (await when(one, plan_id, state="sent", running=False))["outcomes"] == {"persisted": 200}
    await assert_balanced(settings)


async def test_cancel_is_seen_within_five_seconds(stack, database_url, topic_prefix, tmp_path: Path) -> None:
    """Items that were not sent are open again, and the plan cannot be resumed."""
    settings = await prepared(stack, database_url, topic_prefix, 200)
    text = await token(settings, "alice", org_id=1)
    with api(settings, tmp_path / "log") as found:
        async with client(found, text) as one, working(settings):
            plan_id = await made_plan(one, filter=LATE)
            ok(await one.post(f"/v1/plans/{plan_id}/replay", json={"rate_per_second": 10}), 202)
            summary = ok(await one.post(f"/v1/plans/{plan_id}/cancel", json={"reason": "the wrong ones"}))
            assert (summary["state"], summary["reason"]) == ("cancelled", "the wrong ones")
            seen = await when(one, plan_id, running=False)
            assert (seen["state"], seen["ended_because"], seen["resumable"]) == ("cancelled", "the wrong ones", False)
            assert seen["ended_by"] == "token:alice"
            assert await seconds_from_cancel_to_stop(settings) < 5
            assert seen["outcomes"]["open"] > 150
            refused(await one.post(f"/v1/plans/{plan_id}/replay", json={}), 409, "plan_cancelled")
            await wait_until(
                lambda: _all_read(settings), budget_seconds=60, describe="the worker to read what was sent"
            )
    assert ("dlq-cancel", "token:alice", 0) in await runs(settings)
    await assert_balanced(settings)


async def _all_read(settings: Settings) -> bool:
    return (await audit(settings)).totals.unread == 0


async def test_at_most_so_many_at_once(stack, database_url, topic_prefix, tmp_path: Path) -> None:
    """Of two concurrent requests for one plan one gets 409; plans beyond the limit get 429 with Retry-After."""
    settings = await prepared(stack, database_url, topic_prefix, 90)
    text = await token(settings, "alice", Role.ADMIN)
    slow = {"rate_per_second": 2, "wait_seconds": 0}
    with api(settings, tmp_path / "log", api_max_replays=2) as found:
        async with client(found, text) as one:
            first, second, third = [await made_plan(one, filter=LATE, limit=30) for _ in range(3)]
            both = await asyncio.gather(*(one.post(f"/v1/plans/{first}/replay", json=slow) for _ in range(2)))
            assert sorted(answer.status_code for answer in both) == [202, 409]
            refused(next(answer for answer in both if answer.status_code == 409), 409, "plan_running")
            ok(await one.post(f"/v1/plans/{second}/replay", json=slow), 202)
            late_one = await one.post(f"/v1/plans/{third}/replay", json=slow)
            refused(late_one, 429, "too_many_runs")
            assert int(late_one.headers["retry-after"]) > 0
            assert "bridge_api_replays_running 2.0" in (await one.get("/metrics")).text
            ok(await one.post(f"/v1/plans/{first}/cancel", json={"reason": "enough"}))
            ok(await one.post(f"/v1/plans/{second}/cancel", json={"reason": "enough"}))
            ok(await one.post(f"/v1/plans/{third}/replay", json={"wait_seconds": 0}), 202)
            await when(one, third, state="sent", running=False)


async def test_overlapping_plans_send_nothing_twice(stack, database_url, topic_prefix, tmp_path: Path) -> None:
    """Two services replay two plans of the same dead letters: each item is sent by the plan that claims it first."""
    settings = await prepared(stack, database_url, topic_prefix, 300)
    text = await token(settings, "alice")
    with api(settings, tmp_path / "log") as here, api(settings, tmp_path / "log2") as there:
        async with client(here, text) as one, client(there, text) as other, working(settings):
            plans = [await made_plan(one, filter=LATE), await made_plan(other, filter=LATE)]
            await asyncio.gather(
                *(
                    who.post(f"/v1/plans/{plan}/replay", json={"rate_per_second": 400})
                    for who, plan in zip((one, other), plans, strict=True)
                )
            )
            ended = [await when(one, plan, state="sent", running=False) for plan in plans]
    sums = [plan["outcomes"] for plan in ended]
    assert sum(one.get("persisted", 0) for one in sums) == 300
    assert sum(one.get("skipped", 0) for one in sums) == 300
    (row,) = await fetch(settings, "SELECT count(*), count(DISTINCT event_id) FROM bridge_event")
    assert tuple(row) == (300, 300)
    await assert_balanced(settings)


async def test_a_canary_that_failed_is_not_begun_again(stack, database_url, topic_prefix, tmp_path: Path) -> None:
    """Each further request is refused with the remedy, writes no history and sends no alert.

    A request with `canary_max_failures` continues the plan.
    """
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(3))
    text = await token(settings, "alice", org_id=1)
    async with listening(lambda _: 200) as (url, calls):
        with api(settings, tmp_path / "log", worker_alert_webhook=url) as found:
            async with client(found, text) as one, working(settings):
                plan_id = await made_plan(one, filter=LATE)
                path = f"/v1/plans/{plan_id}/replay"
                ok(await one.post(path, json={"canary": 1}), 202)
                await when(one, plan_id, state="stopped", running=False)
                left = [("dlq-plan", "token:alice", 0), ("dlq-replay", "token:alice", 1)]
                await recorded(settings, *left)
                for body in ({"canary": 1}, {"canary": 2}, {"wait_seconds": 0}):
                    said = refused(await one.post(path, json=body), 409, "canary_failed")
                    assert "make a new plan" in said
                    assert "canary_max_failures" in said
                assert (await runs(settings), len(calls)) == (left, 1)
                ok(await one.post(path, json={"canary_max_failures": 1}), 202)
                done = await when(one, plan_id, state="sent", running=False)
                assert done["outcomes"] == {"dropped": 3}
