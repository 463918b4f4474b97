"""Bounds on what an organisation's operators store in Postgres: the history, and plans while they are kept."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import httpx
import pytest
from pydantic import SecretStr
from support.events.settled import fetch
from support.processes.api import ALICE, api, client, failing, made_plan, ok, refused, token
from support.processes.hook import listening
from support.wait import wait_until

from bridge.api.failures import MOST_AN_HOUR
from bridge.api.runs import Runs
from bridge.http.problems import Problem
from schemas.api_token import Role
from schemas.config.settings import Settings
from schemas.documents.run_summary import MOST_IN_HISTORY
from schemas.errors import BridgeError, InvariantViolation, LimitReached, RowRejected, SinkUnavailable

LONG = [f"{number:01000}" for number in range(240)]
"""Event ids of a filter as large as the limit of a request."""
ONE = {"event_id": ["e-0"]}


async def history(settings: Settings) -> list[str]:
    return [row["summary"] for row in await fetch(settings, "SELECT summary::text AS summary FROM script_run")]


async def inserted(settings: Settings) -> int:
    """The number of items of plans that were inserted, also by transactions that were rolled back."""
    (row,) = await fetch(settings, "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'replay_item'")
    return int(row["n_tup_ins"])


async def test_a_discard_of_nothing_leaves_no_history(bound: httpx.AsyncClient, two_orgs: Settings) -> None:
    """A discard of nothing, a plan of nothing and a second cancellation write no history."""
    body = {"filter": {"event_id": LONG}, "reason": "there are none"}
    assert ok(await bound.post("/v1/dead-letters/discard", json=body))["processed_total"] == 0
    refused(await bound.post("/v1/plans", json=body), 422, "nothing_fits")
    assert await history(two_orgs) == []
    plan = await made_plan(bound, filter=ONE)
    for _ in range(2):
        ok(await bound.post(f"/v1/plans/{plan}/cancel", json={"reason": "enough"}))
    assert len(await history(two_orgs)) == 2


async def test_history_keeps_the_beginning_of_a_long_filter(bound: httpx.AsyncClient, two_orgs: Settings) -> None:
    """The history keeps its beginning, size and digest; the answer has the whole filter."""
    body = {"filter": {"event_id": ["e-0", *LONG]}, "reason": "one of many"}
    done = ok(await bound.post("/v1/dead-letters/discard", json=body))
    assert (done["processed_total"], done["filter"]["event_id"]) == (1, ["e-0", *LONG])
    (kept,) = await history(two_orgs)
    assert len(kept) < MOST_IN_HISTORY
    brief = json.loads(kept)["filter"]
    assert brief["bytes"] > 240_000
    assert len(brief["sha256"]) == 64
    assert '"e-0"' in brief["beginning"]


@pytest.fixture(params=["plans", "plan_items", "plan_bytes"])
async def full(two_orgs: Settings, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """An admin of organisation 10 whose bound on kept plans is reached by a plan of one dead letter."""
    most = {"plans": 1, "plan_items": 1, "plan_bytes": 2500}[request.param]
    with api(two_orgs, tmp_path / "api.log", **{f"api_kept_{request.param}_per_org": most}) as found:
        async with client(found, await token(two_orgs, "full", Role.ADMIN, 10)) as one:
            await made_plan(one, filter=ONE)
            other = await token(two_orgs, "other", Role.ADMIN, 20)
            async with client(found, other) as another:
                yield one
                await made_plan(another, filter={"event_id": ["e-10"]})


async def test_plans_that_an_organisation_keeps_are_bounded(full: httpx.AsyncClient, two_orgs: Settings) -> None:
    """A further plan is refused with the setting to raise and writes nothing.

    Dry runs of at most as many dead letters and other organisations' plans are accepted.
    """
    before = len(await history(two_orgs))
    reason = "x" * 500
    patch = [{"op": "add", "path": "/note", "value": Random(1).randbytes(20_000).hex()}]
    more = {"filter": {"event_id": ["e-0", "e-1"]}, "reason": reason, "patch": patch}
    said = refused(await full.post("/v1/plans", json=more), 409, "too_many_plans")
    assert "organisation 10" in said
    assert "BRIDGE_API_KEPT_PLAN" in said
    assert (len(await fetch(two_orgs, "SELECT 1 FROM replay")), len(await history(two_orgs))) == (1, before)
    ok(await full.post("/v1/plans", json=more | {"dry_run": True, "filter": ONE}))


@pytest.mark.parametrize("dry", [False, True], ids=["plan", "dry run"])
async def test_a_plan_of_too_many_dead_letters_stores_few_of_them(
    two_orgs: Settings, tmp_path: Path, dry: bool
) -> None:
    """One item beyond the limit is enough to refuse the plan, and rows that are rolled back take room too."""
    with api(two_orgs, tmp_path / "api.log", api_kept_plan_items_per_org=2) as found:
        async with client(found, await token(two_orgs, "full", Role.ADMIN, 10)) as one:
            answer = await one.post("/v1/plans", json={"all": True, "dry_run": dry})

    assert "the limit is 2" in refused(answer, 409, "too_many_plans")
    await wait_until(lambda: inserted(two_orgs), budget_seconds=30, describe="the count of the rows")
    assert await inserted(two_orgs) == 3


BEYOND = ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"]


async def test_a_request_that_postgres_can_t_take_leaves_no_history(
    bound: httpx.AsyncClient, two_orgs: Settings
) -> None:
    """A time or a text that Postgres can't store is refused as invalid before anything begins."""
    plan = {"filter": ONE, "reason": "x"}
    for at, name in ((at, name) for at in BEYOND for name in ("since", "until")):
        body = {"filter": {**ONE, name: at}, "reason": "x"}
        for path in ("/v1/dead-letters/discard", "/v1/plans"):
            assert "is no time" in refused(await bound.post(path, json=body), 422, "invalid_request")
        assert "is no time" in refused(await bound.get("/v1/dead-letters", params={name: at}), 422, "invalid_request")
    said = refused(
        await bound.post("/v1/plans", json=plan | {"set": {"note": "a\\u0000b\x00"}}), 422, "invalid_request"
    )
    assert "NUL" in said
    assert await history(two_orgs) == []
    await made_plan(bound, **plan, set={"note": "a\\u0000b"})


@pytest.mark.parametrize(
    "error",
    [RowRejected("statement too complex", sqlstate="54001"), LimitReached("full"), SinkUnavailable("a temporary file")],
    ids=lambda error: type(error).__name__,
)
async def test_a_request_that_is_answered_calls_nobody(two_orgs: Settings, error: BridgeError) -> None:
    """A refused request that changed nothing is neither recorded nor sent to the webhook; a defect is both."""
    async with listening(lambda _: 200) as (url, calls):
        runs = Runs(two_orgs.model_copy(update={"worker_alert_webhook": SecretStr(url)}), 1, 1)
        for failure in (error, InvariantViolation("an invariant")):
            with pytest.raises(Problem):
                await runs.finish(failing(failure, quiet=True), ALICE, "a plan")
            assert len(await history(two_orgs)) == len(calls) == isinstance(failure, InvariantViolation)


async def test_failed_runs_of_an_organisation_page_nobody_without_end(two_orgs: Settings) -> None:
    """An organisation's failed runs are recorded and sent MOST_AN_HOUR times an hour.

    Failures of runs that changed something are always recorded, and other organisations' are still sent.
    """
    async with listening(lambda _: 200) as (url, calls):
        runs = Runs(two_orgs.model_copy(update={"worker_alert_webhook": SecretStr(url)}), 1, 1)

        async def fails(org_id: int, *, quiet: bool) -> None:
            job = failing(BridgeError("no luck"), quiet=quiet)
            await runs.begin_replay(job, ALICE._replace(org_id=org_id), "a plan")
            await wait_until(lambda: runs.replays == 0, budget_seconds=60, describe="the run's end")

        for _ in range(MOST_AN_HOUR + 3):
            await fails(10, quiet=True)
        assert len(await history(two_orgs)) == len(calls) == MOST_AN_HOUR
        await fails(10, quiet=False)
        await fails(20, quiet=True)
        assert (len(await history(two_orgs)), len(calls)) == (MOST_AN_HOUR + 2, MOST_AN_HOUR + 1)
