"""Turns of replays: an organisation has at most 200 items in flight, over all of its plans, until workers commit them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
import pytest
from support.events.replays import LATE, dead_letters, late, plan, replay_settings, until
from support.events.settled import event, fetch
from support.infrastructure.databases import LOCK_AWAITED
from support.wait import wait_until

from bridge.jobs.frame import RunOptions, perform
from bridge.jobs.pace import TURN
from bridge.jobs.replay import ReplayOptions, replay_job
from bridge.jobs.turns import Turns
from schemas.config.settings import Settings
from schemas.documents.replay import Plan
from sinks.kafka.replay_publisher import Replayed, ReplayPublisher
from sinks.postgres.connection import Connection
from sinks.postgres.replay_items.items import claim, read_items
from sinks.postgres.replays import plans

SETTLE = "UPDATE bridge_event_raw SET disposition = 'replayed', replayed_as = 'raw:0:1' WHERE disposition = 'claimed'"
CLAIMED = "SELECT count(*) FROM bridge_event_raw WHERE disposition = 'claimed'"
SENT = "SELECT coalesce(sum(published), 0)::int FROM replay"


def act_as_worker(monkeypatch: pytest.MonkeyPatch, seconds: float = 3600.0) -> None:
    """The test itself commits what is sent, by SETTLE."""

    async def has_members(_: Settings) -> bool:
        return True

    monkeypatch.setattr("bridge.jobs.replay.group_has_members", has_members)
    monkeypatch.setattr("bridge.jobs.turns.group_has_members", has_members)
    monkeypatch.setattr("bridge.jobs.pace.TURN_SECONDS", seconds)


def begun(settings: Settings, plan_id: str, rate: float = 0) -> asyncio.Task[object]:
    """Begin the plan's replay."""
    job = replay_job(settings, ReplayOptions(plan_id, rate))
    return asyncio.create_task(perform(job, settings, RunOptions(plan_id)))


@asynccontextmanager
async def replaying(settings: Settings, *plan_ids: str) -> AsyncIterator[list[asyncio.Task[object]]]:
    """Replays of these plans, which are stopped at the end."""
    tasks = [begun(settings, one) for one in plan_ids]
    try:
        yield tasks
    finally:
        for one in tasks:
            one.cancel()
        await asyncio.wait(tasks)


async def number(settings: Settings, statement: str) -> int:
    """The statement's single value."""
    return int((await fetch(settings, statement))[0][0])


async def small_plans(settings: Settings, count: int, size: int) -> list[str]:
    """Plans of `size` more items each: each plan also has the items of the plans before it."""
    await dead_letters(settings, late(count * size))
    return [(await plan(settings, "--script-id", "late", "--limit", str((n + 1) * size)))[0] for n in range(count)]


async def plans_apart(settings: Settings, **sizes: int) -> list[str]:
    """Plans of so many dead letters of these scripts each, which are registered later."""
    scripts = [script for script, size in sizes.items() for _ in range(size)]
    await dead_letters(settings, [event(n, script_id=script, site_id=1) for n, script in enumerate(scripts)])
    return [(await plan(settings, "--script-id", script))[0] for script in sizes]


def note_flights(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What is claimed whenever a replay publishes. It is committed when a run asks what is in flight."""
    flights: list[int] = []
    publish, in_flight = ReplayPublisher.publish, plans.org_in_flight

    async def published(self: ReplayPublisher, replay_id: str, records: Sequence[Replayed]) -> list[Replayed]:
        flights.append(await number(settings, CLAIMED))
        return await publish(self, replay_id, records)

    async def committed(conn: Connection, of: Plan, since: datetime | None) -> plans.InFlight:
        await fetch(settings, SETTLE)
        return await in_flight(conn, of, since)

    monkeypatch.setattr(ReplayPublisher, "publish", published)
    monkeypatch.setattr(plans, "org_in_flight", committed)
    monkeypatch.setattr("bridge.jobs.pace.TURN_SECONDS", 0.1)
    return flights


@pytest.mark.parametrize("rate", [0, 1_000_000, 2 * TURN])
async def test_a_replay_waits_for_what_it_sent(
    stack, database_url, topic_prefix, monkeypatch: pytest.MonkeyPatch, rate: int
) -> None:  # type: ignore[no-untyped-def]  # the stack's own
    """At most one turn of items is in flight at any rate; they are committed when the run asks for them."""
    act_as_worker(monkeypatch)
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(2 * TURN + 1))
    plan_id, _ = await plan(settings, "--script-id", "late")
    flights = note_flights(settings, monkeypatch)
    await begun(settings, plan_id, rate)
    assert sum(flights) == 2 * TURN + 1
    assert max(flights) <= TURN
    if rate != 2 * TURN:
        assert flights == [TURN, TURN, 1]


async def test_costly_items_make_a_small_turn(
    stack, database_url, topic_prefix, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]  # as above
    """Items count by their length and marks, as events do in the gateway: one of 7,000 marks as 21."""
    act_as_worker(monkeypatch)
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, [event(n, **LATE, properties={"a": [1] * 7000}) for n in range(20)])
    plan_id, _ = await plan(settings, "--script-id", "late")
    flights = note_flights(settings, monkeypatch)
    await begun(settings, plan_id)
    assert flights == [9, 9, 2]


async def test_a_turn_reads_few_bytes(stack, database_url, topic_prefix, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]  # as above
    """A run reads no more than a turn may have; otherwise it would read many large items for each that it sends."""
    act_as_worker(monkeypatch)
    monkeypatch.setattr("bridge.jobs.replay.TURN_BYTES", 1)
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(3))
    plan_id, _ = await plan(settings, "--script-id", "late")
    flights = note_flights(settings, monkeypatch)
    await begun(settings, plan_id)
    assert flights == [1, 1, 1]


async def test_a_run_waits_for_what_an_earlier_run_sent(
    stack, database_url, topic_prefix, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]  # as above
    """Many runs of a plan, one after another, have no more in flight than one."""
    act_as_worker(monkeypatch)
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(5))
    plan_id, _ = await plan(settings, "--script-id", "late")
    replay = begun(settings, plan_id, rate=0.1)
    await until(settings, "SELECT published = 1 FROM replay")
    replay.cancel()
    await asyncio.wait({replay})
    replay = begun(settings, plan_id)
    await until(settings, "SELECT state = 'running' FROM replay")
    assert not (await asyncio.wait({replay}, timeout=1))[0]
    assert await number(settings, SENT) == 1
    await fetch(settings, SETTLE)
    await until(settings, "SELECT state = 'sent' FROM replay")
    assert not (await asyncio.wait({replay}, timeout=1))[0]
    await fetch(settings, SETTLE)
    await replay


async def test_plans_that_are_cancelled_leave_no_more_in_flight_than_one(
    stack, database_url, topic_prefix, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]  # as above
    """Ten plans are begun and cancelled, and the items of the first are in flight all the time."""
    act_as_worker(monkeypatch)
    settings = replay_settings(stack, database_url, topic_prefix)
    found = await small_plans(settings, 10, 40)
    for one in found:
        async with replaying(settings, one):
            # The first one may have sent its items already.
            await until(settings, "SELECT state <> 'planned' FROM replay WHERE replay_id = $1::text::uuid", one)
            await asyncio.sleep(0.5)
            await fetch(settings, "UPDATE replay SET state = 'cancelled' WHERE replay_id = $1::text::uuid", one)
    assert await number(settings, CLAIMED) == 40
    await fetch(settings, "UPDATE replay SET state = 'stopped' WHERE replay_id = $1::text::uuid", found[-1])
    async with replaying(settings, found[-1]):
        await fetch(settings, SETTLE)
        # The first items of its turn are those that the first plan has sent.
        await until(settings, f"SELECT ({CLAIMED}) = {TURN - 40}")


async def test_plans_of_another_organisation_are_not_waited_for(
    stack, database_url, topic_prefix, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]  # as above
    """Each organisation has its own turn, and so have the plans without an organisation together."""
    act_as_worker(monkeypatch)
    settings = replay_settings(stack, database_url, topic_prefix)
    first, second = await small_plans(settings, 2, 150)
    await fetch(settings, "ALTER TABLE replay DISABLE TRIGGER replay_kept")
    await fetch(settings, "INSERT INTO org (org_id) VALUES (7) ON CONFLICT DO NOTHING")
    await fetch(settings, "UPDATE site SET org_id = 7")
    await fetch(settings, "UPDATE replay SET org_id = 7 WHERE replay_id = $1::text::uuid", second)
    async with replaying(settings, first):
        await until(settings, f"SELECT ({CLAIMED}) = 150")
        async with replaying(settings, second):
            await until(settings, f"SELECT ({CLAIMED}) = {TURN}")


async def test_plans_at_once_share_a_turn(stack, database_url, topic_prefix, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]  # as above
    """Three replays at once have as much in flight as one, and each goes on."""
    act_as_worker(monkeypatch)
    settings = replay_settings(stack, database_url, topic_prefix)
    first, *others = await plans_apart(settings, late=300, later=150, latest=150)
    async with replaying(settings, first):
        await until(settings, f"SELECT ({CLAIMED}) = {TURN}")
        async with replaying(settings, *others):
            await until(settings, "SELECT count(*) = 3 FROM replay WHERE state = 'running'")
            for _ in range(30):
                await asyncio.sleep(0.1)
                assert await number(settings, CLAIMED) <= TURN
            while await number(settings, "SELECT count(*) FROM replay WHERE state = 'running'"):
                assert await number(settings, CLAIMED) <= TURN
                await fetch(settings, SETTLE)
                await asyncio.sleep(0.1)
    assert await number(settings, "SELECT count(*) FROM bridge_event_raw WHERE disposition = 'open'") == 0


async def test_runs_claim_one_after_another(stack, database_url, topic_prefix, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]  # as above
    """A run claims nothing while another claims, and then counts what that one has claimed."""
    act_as_worker(monkeypatch)
    settings = replay_settings(stack, database_url, topic_prefix)
    first, second = await plans_apart(settings, late=TURN, later=TURN)
    await fetch(settings, "UPDATE replay SET state = 'running' WHERE replay_id = $1::text::uuid", first)
    conn = await asyncpg.connect(settings.dsn)
    try:
        async with conn.transaction():
            await plans.lock_turn(conn, await plans.find_plan(conn, first))
            running = begun(settings, second)
            await until(settings, LOCK_AWAITED)
            items = await read_items(conn, first, 0, TURN, max_lives=5, lock=True)
            await claim(conn, first, items, [Replayed(one.provenance, one.body) for one in items])
        assert not (await asyncio.wait({running}, timeout=1))[0]
        assert await number(settings, CLAIMED) == TURN
    finally:
        await conn.close()
        running.cancel()
        await asyncio.wait({running})


async def test_a_run_that_was_killed_takes_no_part_of_a_turn(
    stack, database_url, topic_prefix, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]  # as above
    """Its plan stays in the state `running`, with items that were claimed and not sent, until it is resumed."""
    act_as_worker(monkeypatch)
    settings = replay_settings(stack, database_url, topic_prefix)
    killed, other = await plans_apart(settings, late=TURN, later=TURN)
    conn = await asyncpg.connect(settings.dsn)
    try:
        async with conn.transaction():
            await conn.execute("ALTER TABLE replay DISABLE TRIGGER USER")
            await conn.execute(
                "UPDATE replay SET state = 'running', updated_at = now() - interval '2 hours' WHERE replay_id = $1::text::uuid",
                killed,
            )
            items = await read_items(conn, killed, 0, TURN, max_lives=5, lock=True)
            await claim(conn, killed, items, [Replayed(one.provenance, one.body) for one in items])
    finally:
        await conn.close()

    async with replaying(settings, other):
        await until(settings, f"SELECT ({CLAIMED}) = {2 * TURN}")


@pytest.mark.parametrize(
    "stands",
    ["UPDATE stream_offset SET held = 'unreadable'", "UPDATE stream_offset SET next_offset = next_offset + 1000"],
)
async def test_a_slow_worker_is_waited_for_and_what_stands_still_is_not(
    stack, database_url, topic_prefix, monkeypatch: pytest.MonkeyPatch, stands: str
) -> None:  # type: ignore[no-untyped-def]  # as above
    """No item is committed for many times TURN_SECONDS; the next turn follows only where no worker will commit any."""
    act_as_worker(monkeypatch, seconds=0.1)
    asked = []
    stands_still = Turns._stands_still

    async def noted(self: Turns, left: int) -> bool:
        asked.append(left)
        return await stands_still(self, left)

    monkeypatch.setattr(Turns, "_stands_still", noted)
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(2 * TURN))
    plan_id, _ = await plan(settings, "--script-id", "late")
    async with replaying(settings, plan_id):
        await until(settings, f"SELECT ({CLAIMED}) = {TURN}")
        await wait_until(lambda: len(asked) >= 3, budget_seconds=60, describe="the run asks what stands still")
        assert await number(settings, CLAIMED) == TURN
        await fetch(settings, stands)
        await until(settings, f"SELECT ({CLAIMED}) = {2 * TURN}")
