"""Jobs of the service that compute for long: organisations share the loop's time equally.

Cancellations and lost sessions are noticed while a job computes.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from support.events.dead_letters import add_dropped, dropped
from support.events.settled import fetch
from support.infrastructure.accounts import execute
from support.processes.api import ALICE, OF_SITE_1, plan_of, planned
from support.wait import wait_until

from bridge.api.parameters import DiscardBody, GroupsQuery
from bridge.api.runs import Runs
from bridge.api.tenant_scope import TenantScope
from bridge.http.problems import Code, Problem
from bridge.jobs import dry_run, looks, replay
from bridge.jobs.cancel import cancel_job
from bridge.jobs.frame import Job
from bridge.jobs.plan import PlanOptions, plan_job
from bridge.jobs.replay import ReplayOptions, replay_job
from bridge.jobs.run import Run
from schemas.config.duration import Duration
from schemas.config.settings import Settings
from schemas.documents.replay import ReplaySummary
from sinks.cooperative import Share
from streams.rules.correction import Correction
from streams.rules.replay_rules import judge


def computing(took: list[tuple[str, float]], name: str, pieces: int, seconds: float) -> Job[ReplaySummary]:
    """A job of `pieces` pieces that block the loop for `seconds` each and append their name and duration to `took`."""

    def piece() -> None:
        began = time.monotonic()
        time.sleep(seconds)
        took.append((name, time.monotonic() - began))

    async def work(run: Run[ReplaySummary]) -> None:
        for _ in range(pieces):
            await run.share.do(piece)

    return Job("dlq-plan", ReplaySummary, work, quiet=True)


async def test_organisations_have_the_same_time(two_orgs: Settings) -> None:
    """A plan of short pieces is delayed by four long dry runs of another organisation by at most its own time."""
    runs, took = Runs(two_orgs, 4, 2), list[tuple[str, float]]()
    own, other = (ALICE._replace(org_id=org_id) for org_id in (10, 20))
    long = computing(took, "long", 10**6, 0.02)
    asked = [asyncio.create_task(runs.forecast(long, own, str(number), dry_run=True)) for number in range(4)]
    await wait_until(lambda: len(took) > 10, budget_seconds=60, describe="all four to compute")
    await runs.forecast(computing(took, "short", 200, 0.001), other, "a plan", dry_run=False)
    short = [number for number, (name, _) in enumerate(took) if name == "short"]
    beside = [seconds for name, seconds in took[short[0] : short[-1]] if name == "long"]
    assert len(short) == 200
    assert sum(beside) <= 2 * sum(took[number][1] for number in short)
    await runs.ended()
    await asyncio.gather(*asked, return_exceptions=True)


async def test_plans_and_replays_have_one_share_of_the_loop(two_orgs: Settings) -> None:
    """Plans and replays have one share of the loop: after each piece, other requests run.

    One share for each job would leave the other requests a small part of the time.
    """
    runs, done = Runs(two_orgs, 4, 2), list[str]()
    shares: list[Share] = []

    async def work(run: Run[ReplaySummary]) -> None:
        shares.append(run.share)

    await runs.forecast(Job("dlq-plan", ReplaySummary, work), ALICE, "a plan", dry_run=True)
    await runs.begin_replay(Job("dlq-replay", ReplaySummary, work), ALICE._replace(org_id=10), "a replay")
    await wait_until(lambda: len(shares) == 2, budget_seconds=60, describe="both shares")
    await shares[0].do(lambda: time.sleep(0.2))
    behind = asyncio.create_task(shares[1].do(lambda: done.append("behind")))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not done
    await behind
    await runs.ended()


def endless(*_: object) -> Iterator[None]:
    """Pieces of work without an end."""
    while True:
        yield


async def test_a_plan_whose_session_is_gone_ends_at_once(two_orgs: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that loses its session ends immediately, not after its page, and frees its place."""
    begun = asyncio.Event()

    def judged(*_: object) -> Iterator[None]:
        begun.set()
        return endless()

    monkeypatch.setattr(dry_run, "judge", judged)
    runs, options = Runs(two_orgs, 1, 1), PlanOptions(OF_SITE_1, Correction([]), "", None, passing=False)
    job = plan_job(two_orgs, options, uuid4())
    asked = asyncio.create_task(runs.forecast(job, ALICE, "a plan", dry_run=False))
    ended = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL "
        "AND application_name LIKE '% replay %' AND state LIKE 'idle in transaction'"
    )

    async def one_ended() -> bool:
        return bool(await fetch(two_orgs, ended))

    await asyncio.wait_for(begun.wait(), 60)
    await wait_until(one_ended, budget_seconds=60, describe="the session of the plan")
    with pytest.raises(Problem) as caught:
        await asyncio.wait_for(asked, 30)
    assert caught.value.code is Code.SERVICES_AWAY


async def test_a_plan_ends_at_its_time_limit(two_orgs: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its transaction, which keeps dead rows from being removed, ends with it."""
    monkeypatch.setattr(dry_run, "judge", endless)
    settings = two_orgs.model_copy(update={"api_plan_timeout": Duration("1s")})
    options = PlanOptions(OF_SITE_1, Correction([]), "", None, passing=False)
    with pytest.raises(Problem) as caught:
        await asyncio.wait_for(
            Runs(settings, 1, 1).forecast(plan_job(settings, options, uuid4()), ALICE, "a plan", dry_run=True), 60
        )

    assert caught.value.code is Code.QUERY_TIMEOUT
    assert "BRIDGE_API_PLAN_TIMEOUT" in str(caught.value)
    assert not await fetch(
        two_orgs,
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL",
    )


async def test_a_plan_is_not_idle_while_it_computes(two_orgs: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that computes a long page sends queries, so that the session's idle time-out doesn't end it."""
    monkeypatch.setattr(looks, "LOOK_SECONDS", 0.1)
    ends: list[float] = []

    def slow(*given: Any) -> Iterator[None]:
        ends.append(time.monotonic() + 4)
        while time.monotonic() < ends[0]:
            yield
        return (yield from judge(*given))

    monkeypatch.setattr(dry_run, "judge", slow)
    name = (await fetch(two_orgs, "SELECT current_database()"))[0][0]
    await execute(two_orgs.dsn, f"ALTER DATABASE \"{name}\" SET idle_in_transaction_session_timeout = '2s'")
    runs, options = Runs(two_orgs, 1, 1), PlanOptions(OF_SITE_1, Correction([]), "", None, passing=False)
    done = await runs.forecast(plan_job(two_orgs, options, uuid4()), ALICE, "a plan", dry_run=False)
    assert done.summary.report is not None
    assert done.summary.report.items > 0


async def test_a_cancel_is_seen_while_a_batch_is_computed(two_orgs: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancel ends a replay that computes a batch, and no dead letter of the batch is claimed."""
    monkeypatch.setattr(replay, "corrected", endless)
    replay_id, runs = await planned(two_orgs), Runs(two_orgs, 1, 1)
    await runs.begin_replay(replay_job(two_orgs, ReplayOptions(replay_id)), ALICE, replay_id)
    done = await runs.finish(cancel_job(two_orgs, replay_id, "enough", 30), ALICE, replay_id)
    assert done.code == 0
    assert await plan_of(two_orgs, replay_id) == ("cancelled", "enough")
    assert (await fetch(two_orgs, "SELECT count(*) FROM bridge_event_raw WHERE replay_id IS NOT NULL"))[0][0] == 0
    await runs.ended()


@pytest.mark.parametrize("what", ["groups", "discard"])
async def test_what_is_looked_up_goes_in_pieces(two_orgs: Settings, what: str) -> None:
    """Groups and discards read, match and count in pieces, in the share of the loop that plans use."""
    letters = 1100
    await add_dropped(two_orgs.dsn, [dropped(1000 + number, event_id=f"p-{number}") for number in range(letters)])
    runs = Runs(two_orgs, 1, 1)
    runs.share = share = Noting()
    scope = TenantScope(two_orgs, runs, ALICE)
    if what == "groups":
        assert (await scope.groups(GroupsQuery())).total > letters
    else:
        asked = DiscardBody.model_validate(
            {"filter": {"site_id": [1]}, "persisted": True, "dry_run": True, "reason": "sent again"}
        )
        assert (await scope.discard(asked)).processed_total == 0
    assert len(share.done) >= (9 if what == "groups" else 6)


class Noting(Share):
    """A share that records the pieces that run in it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[object] = []

    async def do(self, work: Callable[[], object]) -> None:
        self.done.append(work)
        await super().do(work)
