"""`bridge dlq plan|replay|cancel|status` on a real stream."""

import asyncio
import json
import os
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from support.events.replays import (
    LATE,
    assert_balanced,
    dead_letters,
    dlq,
    late,
    plan,
    replay_settings,
    seconds_from_cancel_to_stop,
    status,
    until,
)
from support.events.settled import environment_of, event, fetch, produce, working
from support.processes.command import bridge, start
from support.wait import wait_until

from schemas.documents.replay import PlanSummary, ReplaySummary
from sinks.postgres.registry.admin import add_script
from telemetry import metrics


async def test_a_plan_says_what_today_s_code_says_and_changes_nothing(stack, database_url, topic_prefix) -> None:
    """The plan counts items by reason, site, age and forecast: passes, fails, persisted, copy."""
    settings = replay_settings(stack, database_url, topic_prefix)
    values = [*late(6), event(0, **LATE), event(50, event_type=""), b"{", event(51, **LATE)]
    await dead_letters(settings, values)
    await add_script(database_url, "late", 1)
    await produce(settings, [event(51, **LATE)])
    async with working(settings):
        await until(settings, "SELECT count(*) = 1 FROM bridge_event")
    ledger = "SELECT * FROM bridge_event_raw ORDER BY raw_topic, raw_partition, raw_offset"
    before = await fetch(settings, ledger)
    plan_id, report = await plan(settings, "--all", "--yes")
    assert report["by_forecast"] == {"passes": 6, "copy": 1, "fails_the_same": 2, "persisted": 1}
    assert report["by_reason"] == {
        "retry_exhausted (unknown_script)": 8, "schema_violation": 1, "invalid_payload_json": 1,
    }  # fmt: skip
    assert (report["by_site"], report["by_age"]) == ({"1": 8, "3": 1, "unknown": 1}, {"under 1 hour": 10})
    assert await fetch(settings, ledger) == before
    out, _ = await dlq(settings, "plan", "--dropped-reason", "schema_violation")
    assert "would fail the same way" in out
    out, _ = await dlq(settings, "plans")
    assert plan_id in out
    passing, _ = await plan(settings, "--all", "--yes", "--passing")
    assert (await status(settings, passing))["planned"] == 6
    out, _ = await dlq(settings, "plan", "--all", "--dry-run", "--json-output", "-")
    assert PlanSummary.model_validate_json(out).report.items == 10
    assert (await fetch(settings, "SELECT count(*) FROM replay"))[0][0] == 3


def attempts() -> Counter[tuple[str, str]]:
    """The attempts so far in this process, by outcome and sender class."""
    (family,) = [one for one in metrics.REGISTRY.collect() if one.name == "bridge_events"]
    samples = [one for one in family.samples if one.name.endswith("_total")]
    return Counter({(one.labels["outcome"], one.labels["sender"]): int(one.value) for one in samples})


async def test_a_replay_tells_what_became_of_the_items(stack, database_url, topic_prefix) -> None:
    """Persisted, a duplicate, dropped again with its earlier generation; bytes and headers stay."""
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, [*late(20), event(3, **LATE), event(50, event_type="")])
    await add_script(database_url, "late", 1)
    plan_id, _ = await plan(settings, "--all", "--yes")
    before_it = attempts()
    async with working(settings):
        out, err = await dlq(settings, "replay", plan_id[:8], "--json-output", "-", code=2)
        again, told = await dlq(settings, "replay", plan_id, "--json-output", "-", code=2)
    summary = ReplaySummary.model_validate_json(out)
    assert (summary.sent_total, summary.planned_total, summary.state) == (22, 22, "sent")
    assert summary.outcomes == {"persisted": 20, "duplicate": 1, "dropped": 1}
    assert summary.dropped_by_reason == {"schema_violation": 1}
    assert "22 of 22 sent (100.0 %)" in err
    assert "every item of the plan was sent by an earlier run (22 of 22): nothing is sent again" in told
    assert "(100.0 %)" not in told
    assert ReplaySummary.model_validate_json(again).sent_total == 0
    rows = await fetch(settings, "SELECT * FROM bridge_event_raw WHERE dropped_reason <> 'duplicate_event_id'")
    old = [row for row in rows if row["replay_of"] is None]
    assert {(row["disposition"], str(row["replay_id"])) for row in old} == {("replayed", plan_id)}
    (new,) = [row for row in rows if row["replay_of"] is not None]
    (before,) = [
        row for row in old if row["replayed_as"] == f"{new['raw_topic']}:{new['raw_partition']}:{new['raw_offset']}"
    ]
    assert (new["payload"], new["record_key"], new["received_at"]) == (
        before["payload"], before["record_key"], before["received_at"],
    )  # fmt: skip
    assert (new["disposition"], before["dropped_reason"]) == ("open", "schema_violation")
    assert (await fetch(settings, "SELECT bool_or(replay) AND NOT bool_and(replay) FROM gate_window"))[0][0]
    assert attempts() - before_it == {("normalized", "replay"): 20, ("dropped", "replay"): 2}
    runs = await fetch(
        settings, "SELECT script, exit_code FROM script_run WHERE script LIKE 'dlq-%' ORDER BY started_at"
    )
    assert [tuple(row) for row in runs] == [("dlq-plan", 0), ("dlq-replay", 2), ("dlq-replay", 2)]
    await assert_balanced(settings)


async def test_nobody_replays_an_item_twice_unless_forced(stack, database_url, topic_prefix) -> None:
    """A second plan skips such items with the reason; forced, they are duplicates, and the first outcome stays."""
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(5))
    await add_script(database_url, "late", 1)
    first, _ = await plan(settings, "--all", "--yes")
    second, _ = await plan(settings, "--script-id", "late")
    async with working(settings):
        await dlq(settings, "replay", first)
        out, _ = await dlq(settings, "replay", second, "--json-output", "-")
        summary = ReplaySummary.model_validate_json(out)
        assert (summary.sent_total, summary.skipped_by_reason) == (0, {f"replayed already, by {first}": 5})
        forced, report = await plan(settings, "--script-id", "late", "--disposition", "replayed")
        assert report["by_forecast"] == {"persisted": 5}
        out, _ = await dlq(settings, "replay", forced, "--force")
    assert "duplicates changed nothing" in out
    assert (await status(settings, first))["outcomes"] == {"persisted": 5}
    assert (await status(settings, forced))["outcomes"] == {"duplicate": 5}
    assert len(await fetch(settings, "SELECT * FROM bridge_event")) == 5
    await assert_balanced(settings)


async def test_overlapping_plans_at_once_double_nothing(stack, database_url, topic_prefix) -> None:
    """Two concurrent replays of the same dead letters: each item is sent by one of them."""
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(3000))
    await add_script(database_url, "late", 1)
    plans = [(await plan(settings, "--all", "--yes"))[0] for _ in range(2)]
    async with working(settings):
        told = await asyncio.gather(
            *(dlq(settings, "replay", one, "--rate", "4000/s", "--json-output", "-") for one in plans)
        )
    summaries = [ReplaySummary.model_validate_json(out) for out, _ in told]
    assert sum(one.sent_total for one in summaries) == 3000
    assert sum(one.outcomes.get("persisted", 0) for one in summaries) == 3000
    assert sum(one.outcomes.get("skipped", 0) for one in summaries) == 3000
    assert (await fetch(settings, "SELECT sum(stale), count(DISTINCT topic) FROM stream_offset"))[0][0] == 0
    await assert_balanced(settings)


async def test_a_canary_that_fails_stops_the_rest(stack, database_url, topic_prefix) -> None:
    """Only the canary's items are dropped again; after the fix a new plan passes with its canary."""
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(40))
    first, _ = await plan(settings, "--all", "--yes")
    async with working(settings):
        out, err = await dlq(settings, "replay", first, "--canary", "10", "--json-output", "-", code=1)
        summary = ReplaySummary.model_validate_json(out)
        assert summary.outcomes == {"open": 30, "dropped": 10}
        assert (
            "the canary failed: of 10 items 10 were dropped again (retry_exhausted 10); the other 30 items stay open"
            in err
        )
        assert (await status(settings, first))["state"] == "stopped"
        for words in (("--canary", "10"), ("--canary-max-failures", "9"), ()):
            _, err = await dlq(settings, "replay", first, *words, code=3)
            assert "has failed: 10 items were dropped again (10 retry_exhausted)" in err
        allowed, _ = await plan(settings, "--all", "--yes", "--limit", "2")
        await dlq(settings, "replay", allowed, "--canary", "1", code=1)
        await dlq(settings, "replay", allowed, "--canary-max-failures", "1", code=1)
        assert (await status(settings, allowed))["state"] == "sent"
        await add_script(database_url, "late", 1)
        second, report = await plan(settings, "--all", "--yes")
        assert report["by_forecast"] == {"passes": 40}
        _, err = await dlq(settings, "replay", second, "--canary", "10")
    assert "the canary of 10 passed" in err
    assert len(await fetch(settings, "SELECT * FROM bridge_event")) == 40
    await assert_balanced(settings)


async def test_a_cancel_is_seen_within_five_seconds(stack, database_url, topic_prefix) -> None:
    """Sent items are persisted, the others are open for another plan, and the cancelled one cannot be resumed."""
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(2000))
    await add_script(database_url, "late", 1)
    plan_id, _ = await plan(settings, "--all", "--yes")
    running = start("dlq", "replay", plan_id, "--rate", "40/s", settings=environment_of(settings), quiet=True)
    try:
        async with working(settings):
            await until(settings, "SELECT published > 20 FROM replay")
            cancelling = start(
                "dlq", "cancel", plan_id, "--reason", "not now", settings=environment_of(settings), quiet=True
            )
            await until(settings, "SELECT state = 'cancelled' FROM replay")
            await wait_until(lambda: running.poll() is not None, budget_seconds=30, describe="the replay stopped")
            assert (running.returncode, await asyncio.to_thread(cancelling.wait, 30)) == (1, 0)
            assert await seconds_from_cancel_to_stop(settings) < 5
            await until(settings, "SELECT bool_and(outcome IN ('open', 'persisted')) FROM replay_outcome")
    finally:
        running.kill()
    found = await status(settings, plan_id)
    assert (found["state"], found["ended_because"]) == ("cancelled", "not now")
    assert found["outcomes"]["persisted"] == found["published"] < 2000
    assert found["outcomes"]["open"] == 2000 - found["published"]
    _, err = await dlq(settings, "replay", plan_id, code=3)
    assert "was cancelled by" in err
    _, report = await plan(settings, "--all", "--yes")
    assert report["items"] == 2000 - found["published"]
    await assert_balanced(settings)


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_stop_it_can_be_gone_on_with(stack, database_url, topic_prefix, which: signal.Signals) -> None:
    """The batch in flight is completed, so that no item is in doubt; the same command resumes."""
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(400))
    await add_script(database_url, "late", 1)
    plan_id, _ = await plan(settings, "--all", "--yes")
    running = start("dlq", "replay", plan_id, "--rate", "40/s", settings=environment_of(settings), quiet=True)
    try:
        await until(settings, "SELECT published > 20 FROM replay")
        os.kill(running.pid, which)
        assert await asyncio.to_thread(running.wait, 20) == 1
    finally:
        running.kill()
    found = await status(settings, plan_id)
    assert (found["state"], found["ended_because"]) == ("stopped", "it was stopped")
    assert set(found["outcomes"]) == {"open", "unsettled"}
    async with working(settings):
        out, _ = await dlq(settings, "replay", plan_id, "--json-output", "-")
    assert ReplaySummary.model_validate_json(out).outcomes == {"persisted": 400}
    assert (await fetch(settings, "SELECT sum(stale) FROM stream_offset"))[0][0] == 0
    await assert_balanced(settings)


async def test_corrected_events_pass_and_the_originals_stay_whole(stack, database_url, topic_prefix, tmp_path) -> None:
    """A diff is shown before anything is sent; the corrections, their author and their reason are recorded."""
    settings = replay_settings(stack, database_url, topic_prefix)
    wrong = [event(number, currency="EURO", value=1.5) for number in range(4)]
    await dead_letters(settings, wrong)
    patch = tmp_path / "patch.json"
    patch.write_text(
        '[{"op": "test", "path": "/currency", "value": "EURO"}, {"op": "add", "path": "/value", "value": 2.50}]'
    )
    _, err = await dlq(settings, "plan", "--all", "--yes", "--set", "currency=EUR", code=3)
    assert "--reason" in err
    _, report = await plan(settings, "--all", "--yes", "--set", "currency=XXXX", "--reason", "a typo", "--dry-run")
    assert report["by_forecast"] == {"fails_the_same": 4}
    words = ("--patch", str(patch), "--set", "currency=EUR", "--reason", "the shop's plugin writes EURO")
    plan_id, report = await plan(settings, "--all", "--yes", *words)
    assert report["by_forecast"] == {"passes": 4}
    out, _ = await dlq(settings, "replay", plan_id, "--dry-run")
    assert '-  "currency": "EURO",' in out
    assert '+  "currency": "EUR",' in out
    assert (await fetch(settings, "SELECT count(*) FROM bridge_event_raw WHERE disposition <> 'open'"))[0][0] == 0
    async with working(settings):
        _, err = await dlq(settings, "replay", plan_id)
    assert '+  "currency": "EUR",' in err.split("sent (100.0 %)")[0]
    rows = await fetch(settings, "SELECT currency, value FROM bridge_event")
    assert [(row["currency"], str(row["value"])) for row in rows] == [("EUR", "2.500000")] * 4
    kept = await fetch(settings, "SELECT payload FROM bridge_event_raw")
    assert sorted(bytes(row["payload"]) for row in kept) == sorted(wrong)
    (row,) = await fetch(settings, "SELECT requested_by, reason, corrections FROM replay")
    assert "@" in row["requested_by"]
    assert row["reason"] == "the shop's plugin writes EURO"
    assert [one["op"] for one in json.loads(row["corrections"])] == ["test", "add", "add"]
    await assert_balanced(settings)


async def test_computed_corrections_pass_and_what_they_do_not_apply_to_stays(stack, database_url, topic_prefix) -> None:
    """One plan converts seconds to milliseconds; an item that doesn't fit the expression is skipped and reported."""
    settings = replay_settings(stack, database_url, topic_prefix)
    seconds = int(datetime.now(UTC).timestamp()) - 60
    wrong = [event(number, occurred_at=seconds, value="1990") for number in range(3)]
    await dead_letters(settings, [*wrong, event(3, occurred_at="yesterday")])
    _, err = await dlq(settings, "plan", "--all", "--yes", "--set", "occurred_at=*1000;", "--reason", "x", code=3)
    assert "--set: occurred_at: '*1000;' is not an expression from ';' on; these are: *NUMBER, round(DECIMALS)" in err
    _, err = await dlq(settings, "plan", "--all", "--yes", "--set", 'note="\\u0000"', "--reason", "x", code=3)
    assert "the corrections contain a NUL" in err
    words = ("--set", "occurred_at=milliseconds()", "--set", "value=number()|*0.01", "--reason", "seconds")
    plan_id, report = await plan(settings, "--all", "--yes", *words)
    assert report["by_forecast"] == {"passes": 3, "refused": 1}
    why = "occurred_at: milliseconds() does not apply: the field is text, not a number; number() reads one"
    assert report["refusals"] == {why: 1}
    assert f'+  "occurred_at": {seconds}000,' in report["samples"][0]["diff"]
    async with working(settings):
        out, told = await dlq(settings, "replay", plan_id, "--json-output", "-")
        _, again = await dlq(settings, "replay", plan_id)
    # Items that are not sent again show no diff.
    assert ["corrected bridge." in said or "corrections, because" in said for said in (told, again)] == [True, False]
    summary = ReplaySummary.model_validate_json(out)
    assert (summary.outcomes, summary.skipped_by_reason) == ({"persisted": 3, "skipped": 1}, {why: 1})
    out, _ = await dlq(settings, "status", plan_id)
    assert '{"op": "compute", "path": "/occurred_at", "expression": "milliseconds()"}' in out
    assert "'" not in out
    rows = await fetch(settings, "SELECT occurred_at, value FROM bridge_event")
    assert [(row["occurred_at"].timestamp(), str(row["value"])) for row in rows] == [(seconds, "19.900000")] * 3
    kept = await fetch(settings, "SELECT payload FROM bridge_event_raw WHERE disposition = 'open'")
    assert [bytes(row["payload"]) for row in kept] == [event(3, occurred_at="yesterday")]
    assert (await status(settings, plan_id))["corrections"] == [
        {"op": "compute", "path": "/occurred_at", "expression": "milliseconds()"},
        {"op": "compute", "path": "/value", "expression": "number()|*0.01"},
    ]
    environment = environment_of(settings)
    audited = (await asyncio.to_thread(bridge, "audit", settings=environment)).stdout.decode()
    assert "7 read, 3 of these replays: 3 persisted, 4 dropped" in audited
    assert "of the 4 dropped: 3 recovered, 1 open" in audited
    total = json.loads((await asyncio.to_thread(bridge, "kpi", "--json-output", "-", settings=environment)).stdout)[
        "total"
    ]
    assert (total["dropped"], total["recovered"], total["open"], total["discarded"]) == (4, 3, 1, 0)
    assert (total["success_rate_pct"], total["success_rate_with_replays_pct"]) == (0.0, 75.0)
    shown = json.loads(
        (await asyncio.to_thread(bridge, "gate", "show", "--json-output", "-", settings=environment)).stdout
    )
    assert [(one["finished"], one["dropped"], one["recovered"], one["open"]) for one in shown][-1] == (4, 4, 3, 1)
    await assert_balanced(settings)


async def test_a_loop_ends_after_its_lives(stack, database_url, topic_prefix) -> None:
    """An item that is dropped after each replay is refused after BRIDGE_REPLAY_MAX_LIVES generations."""
    settings = replay_settings(stack, database_url, topic_prefix)
    most = {"BRIDGE_REPLAY_MAX_LIVES": "3"}
    await dead_letters(settings, [event(1, event_type="")])
    async with working(settings):
        for _ in range(2):
            plan_id, report = await plan(settings, "--all", "--yes", **most)
            assert report["by_forecast"] == {"fails_the_same": 1}
            await dlq(settings, "replay", plan_id, code=1, **most)
        plan_id, report = await plan(settings, "--all", "--yes", **most)
        assert report["refusals"] == {"its event was dropped 3 times, and BRIDGE_REPLAY_MAX_LIVES is 3": 1}
        out, _ = await dlq(settings, "replay", plan_id, "--json-output", "-", **most)
    summary = ReplaySummary.model_validate_json(out)
    assert (summary.sent_total, sum(summary.skipped_by_reason.values())) == (0, 1)
    assert len(await fetch(settings, "SELECT * FROM bridge_event_raw")) == 3
    await assert_balanced(settings)


async def test_old_dead_letters(stack, database_url, topic_prefix) -> None:
    """An event beyond occurred_at's bound is persisted, and one of a removed month refused.

    So is an event that is persisted and whose key was pruned.
    """
    settings = replay_settings(stack, database_url, topic_prefix)
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last_month = month - timedelta(days=20)
    gone = month - timedelta(days=100)
    times = [int(one.timestamp() * 1000) for one in (last_month, gone, last_month)]
    values = [event(number, occurred_at=at, **LATE) for number, at in enumerate(times)]
    await dead_letters(settings, values)
    await add_script(database_url, "late", 1)
    aged = "UPDATE bridge_event_raw SET received_at = $1, error_class = 'unknown_script' WHERE convert_from(payload, 'UTF8') LIKE $2"
    for number, at in enumerate((last_month, gone, last_month)):
        await fetch(settings, aged, at, f'%"e-{number}"%')
    twin = event(2, **LATE)
    await produce(settings, [twin])
    async with working(settings):
        await until(settings, "SELECT count(*) = 1 FROM bridge_event")
        await fetch(settings, "UPDATE bridge_event SET received_at = received_at - interval '8 days'")
        await fetch(settings, "DELETE FROM bridge_event_key")
        plan_id, report = await plan(settings, "--all", "--yes")
        assert report["refusals"] == {
            f"the month {gone:%Y-%m} of its event was removed": 1,
            "its event is persisted, and its key was pruned": 1,
        }
        out, _ = await dlq(settings, "replay", plan_id, "--json-output", "-")
    summary = ReplaySummary.model_validate_json(out)
    assert (summary.outcomes, summary.skipped_by_reason) == ({"persisted": 1, "skipped": 2}, report["refusals"])
    events = await fetch(settings, "SELECT event_id, received_at FROM bridge_event ORDER BY event_id")
    assert [row["event_id"] for row in events] == ["e-0", "e-2"]
    assert events[0]["received_at"] == last_month


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("plan",), "no filter is given"),
        (("plan", "--all"), "standard input is no terminal"),
        (("plan", "--site-id", "77"), "no dead letter matches the filter"),
        (("replay", "12345678"), "there is no plan '12345678'; see `bridge dlq plans`"),
        (("replay", "1"), "there is no plan '1'"),
        (("replay", "12345678", "--rate", "fast"), "--rate: 'fast' is not a rate"),
        (
            ("replay", "12345678", "--canary", "5", "--wait", "0s"),
            "--canary: the run waits for the canary; give a --wait of more than 0s",
        ),
        (("cancel", "12345678", "--reason", " "), "--reason: give a reason of 1 to 500 characters"),
    ],
)
async def test_bad_input(stack, database_url, topic_prefix, words: tuple[str, ...], says: str) -> None:
    """A mistake exits with code 3 and one line that names it."""
    settings = replay_settings(stack, database_url, topic_prefix)
    _, err = await dlq(settings, *words, code=3)
    assert says in err
