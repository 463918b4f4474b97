"""Jobs within a service: failures behind a request are recorded, and the service keeps its signal handlers."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from support.events.settled import fetch
from support.processes.api import ALICE, failing, plan_of, planned
from support.processes.gateway import free_port
from support.wait import wait_until

from bridge.api import places
from bridge.api import runs as api_runs
from bridge.api.runs import Runs
from bridge.http.problems import Code, Problem
from bridge.jobs import replay
from bridge.jobs.frame import GIVES_WAY, Job
from bridge.jobs.replay import ReplayOptions, replay_job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.replay import ReplaySummary
from schemas.errors import BreakerOpen, BridgeError, InvalidInput, PreconditionFailed, SinkUnavailable
from sinks.postgres.runs.history import note_end
from sinks.postgres.stats.backlog import read_backlog


def hanging() -> Job[ReplaySummary]:
    async def work(_run: Run[ReplaySummary]) -> None:
        await asyncio.Event().wait()

    return Job("dlq-replay", ReplaySummary, work)


def ending(release: asyncio.Event | None = None) -> Job[ReplaySummary]:
    """A job that ends immediately, or when it is released."""

    async def work(_run: Run[ReplaySummary]) -> None:
        if release is not None:
            await release.wait()

    return Job("dlq-replay", ReplaySummary, work)


async def record(settings: Settings, run_id: str) -> tuple[int, str, list[dict[str, Any]]]:
    """Exit code, caller and errors of a run, once it has ended."""
    statement = "SELECT exit_code, started_by, summary::text FROM script_run WHERE run_id = $1 AND ended_at IS NOT NULL"

    async def ended() -> Any:
        return await fetch(settings, statement, run_id)

    (row,) = await wait_until(ended, budget_seconds=20, describe="the run's end")  # type: ignore[misc]  # a list of one
    return row["exit_code"], row["started_by"].partition("@")[0], json.loads(row["summary"])["errors"]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ZeroDivisionError("a defect"), 1, "ZeroDivisionError: a defect"),
        (BridgeError("it went wrong"), 1, "it went wrong"),
        (InvalidInput("it was asked wrong"), 3, "it was asked wrong"),
    ],
)
async def test_what_goes_wrong_behind_a_request_is_on_record(
    two_orgs: Settings, error: Exception, code: int, said: str
) -> None:
    """Every failure is recorded with its caller and reason, and its place is free again."""
    runs = Runs(two_orgs, 1, 1)
    for _ in range(2):
        run_id = await runs.begin_replay(failing(error), ALICE, "a plan")
        assert await record(two_orgs, run_id) == (code, "token:alice", [{"target": "run", "reason": said}])
        await wait_until(lambda: runs.replays == 0, budget_seconds=60, describe="a free place")
    with pytest.raises(Problem) as caught:
        await runs.finish(failing(error), ALICE, "a plan")
    assert caught.value.code is (Code.INVALID_REQUEST if code == 3 else Code.RUN_FAILED)


async def test_what_callers_fail_at_is_in_no_figure_that_pages(
    two_orgs: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics count commands' runs only, including those of a process that calls itself a token."""
    runs = Runs(two_orgs, 1, 1)
    run_id = await runs.begin_replay(failing(BridgeError("it went wrong")), ALICE, "a plan")
    assert (await record(two_orgs, run_id))[:2] == (1, "token:alice")
    assert (await read_backlog(two_orgs.dsn, two_orgs.group)).runs == []
    monkeypatch.setenv("LOGNAME", "token:alice")
    await note_end(two_orgs.dsn, "r", "dlq-replay", (datetime.now(UTC), datetime.now(UTC)), 1, '{"errors": []}')
    assert (await record(two_orgs, "r"))[:2] == (1, "token_alice")
    (counted,) = (await read_backlog(two_orgs.dsn, two_orgs.group)).runs
    assert (counted.script, counted.exit_code, counted.recent) == ("dlq-replay", 1, 1)


async def test_one_organisation_does_not_take_all_places(two_orgs: Settings) -> None:
    """An organisation's third replay is refused; another organisation's and an administrator's start."""
    runs = Runs(two_orgs, 4, 2)
    own, other = (ALICE._replace(org_id=org_id) for org_id in (10, 20))
    for scope in ("one", "two"):
        await runs.begin_replay(hanging(), own, scope)
    with pytest.raises(Problem, match="2 replays of organisation 10 are in progress") as caught:
        await runs.begin_replay(hanging(), own, "three")
    assert caught.value.code is Code.TOO_MANY_RUNS
    await runs.begin_replay(hanging(), other, "four")
    await runs.begin_replay(hanging(), ALICE, "five")
    with pytest.raises(Problem, match="4 replays are in progress"):
        await runs.begin_replay(hanging(), ALICE, "six")
    await runs.ended()
    assert runs.replays == 0


async def test_a_place_is_kept_for_those_of_no_organisation(two_orgs: Settings) -> None:
    """An administrator's replay starts even when organisations have taken all other places."""
    runs = Runs(two_orgs, 4, 2)
    for number, org_id in enumerate((10, 10, 20)):
        await runs.begin_replay(hanging(), ALICE._replace(org_id=org_id), str(number))
    with pytest.raises(Problem, match="3 replays of organisations are in progress") as caught:
        await runs.begin_replay(hanging(), ALICE._replace(org_id=20), "another")
    assert caught.value.code is Code.TOO_MANY_RUNS
    await runs.begin_replay(hanging(), ALICE, "kept")
    with pytest.raises(Problem, match="4 replays are in progress"):
        await runs.begin_replay(hanging(), ALICE, "one more")
    await runs.ended()
    alone = Runs(two_orgs, 1, 1)
    await alone.begin_replay(hanging(), ALICE._replace(org_id=10), "the only one")
    await alone.ended()


async def test_plans_that_nobody_waits_for_count(two_orgs: Settings) -> None:
    """A plan counts against its organisation's limit until it ends, also after its client has disconnected."""
    runs, own = Runs(two_orgs, 4, 2), ALICE._replace(org_id=10)
    most = two_orgs.api_max_plans_per_org
    asked = [asyncio.create_task(runs.forecast(hanging(), own, str(number), dry_run=True)) for number in range(most)]
    await asyncio.sleep(0)
    for one in asked:
        one.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    with pytest.raises(Problem, match=f"{most} plans and dry runs of organisation 10 are in progress") as caught:
        await runs.forecast(hanging(), own, "one more", dry_run=True)
    assert caught.value.code is Code.TOO_MANY_RUNS
    await runs.ended()


async def test_an_organisation_with_a_place_leaves_one_to_the_others(two_orgs: Settings) -> None:
    """Two organisations cannot hold all places: one with a place leaves one to the others."""
    runs = Runs(two_orgs, 4, 2)
    one, two, three = (ALICE._replace(org_id=org_id) for org_id in (10, 20, 30))
    await runs.begin_replay(hanging(), one, "first")
    await runs.begin_replay(hanging(), two, "first of another")
    for caller in (one, two):
        with pytest.raises(Problem, match="2 replays of organisations are in progress") as caught:
            await runs.begin_replay(hanging(), caller, "second")
        assert caught.value.code is Code.TOO_MANY_RUNS
    await runs.begin_replay(hanging(), three, "first of a third")
    await runs.ended()


async def test_the_longest_replay_gives_way_to_an_organisation_that_has_none(
    two_orgs: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replay that has run longest is stopped without an alert, waits, and resumes when a place is free."""
    monkeypatch.setattr(api_runs, "TURNS_LOOK_SECONDS", 0.05)
    runs = Runs(two_orgs, 4, 2)
    callers = [ALICE._replace(org_id=org_id) for org_id in (10, 20, 30, 40)]
    first, *_ = [await runs.begin_replay(hanging(), one, f"of {one.org_id}") for one in callers[:3]]
    with pytest.raises(Problem, match="3 replays of organisations are in progress"):
        await runs.begin_replay(hanging(), callers[3], "before their turn is over")
    monkeypatch.setattr(places, "TURN_SECONDS", 0.0)
    await runs.begin_replay(ending(), callers[3], "of 40")
    monkeypatch.setattr(places, "TURN_SECONDS", 3600.0)
    reason = f"stopped by {GIVES_WAY}; what was committed stays"
    assert await record(two_orgs, first) == (0, "token:alice", [{"target": "run", "reason": reason}])
    statement = "SELECT count(*) FROM script_run WHERE ended_at IS NULL"

    async def all_three_run() -> bool:
        return runs.replays == 3 and (await fetch(two_orgs, statement))[0][0] == 3

    await wait_until(all_three_run, budget_seconds=60, describe="the first one to go on")
    await runs.ended()
    assert runs.replays == 0


async def test_a_plan_that_gave_way_is_sent_whole(two_orgs: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped plan shows that it waits, cannot be started by another request, and then sends each item once."""
    monkeypatch.setattr(places, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(api_runs, "TURNS_LOOK_SECONDS", 0.5)
    replay_id = await planned(two_orgs)
    runs = Runs(two_orgs, 2, 2)
    slow = replay_job(two_orgs, ReplayOptions(replay_id, rate=5))
    await runs.begin_replay(slow, ALICE._replace(org_id=10), replay_id)
    release = asyncio.Event()
    await runs.begin_replay(ending(release), ALICE._replace(org_id=20), "another's")
    monkeypatch.setattr(places, "TURN_SECONDS", 3600.0)
    assert await plan_of(two_orgs, replay_id) == ("stopped", replay.WAITS)
    with pytest.raises(Problem, match="waits for its turn") as caught:
        await runs.begin_replay(slow, ALICE, replay_id)
    assert caught.value.code is Code.ANOTHER_RUN
    release.set()

    async def sent() -> bool:
        return (await plan_of(two_orgs, replay_id))[0] == "sent"

    await wait_until(sent, budget_seconds=60, describe="all of the plan sent")
    ((published, planned_total),) = await fetch(two_orgs, "SELECT published, planned FROM replay")
    assert published == planned_total > 0
    await runs.ended()


async def test_a_service_that_is_away_is_told_and_not_waited_for(two_orgs: Settings) -> None:
    """An unreachable service is reported immediately, even where the process itself waits for it without limit."""
    away = two_orgs.model_copy(
        update={"kafka_bootstrap_servers": f"127.0.0.1:{free_port()}", "startup_without_kafka": True}
    )
    async with asyncio.timeout(15):
        with pytest.raises(Problem) as caught:
            await Runs(away, 1, 1).finish(hanging(), ALICE, "a plan")
    assert caught.value.code is Code.SERVICES_AWAY
    assert "127.0.0.1" not in caught.value.detail


async def test_what_was_promised_is_on_record_before_it_is_told(
    two_orgs: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan is recorded as running before the 202, so that it shows its start if the service is then killed."""

    @asynccontextmanager
    async def stuck(_settings: Settings) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield

    monkeypatch.setattr(replay, "publishing_replays", stuck)
    replay_id, runs = await planned(two_orgs), Runs(two_orgs, 1, 1)
    await runs.begin_replay(replay_job(two_orgs, ReplayOptions(replay_id)), ALICE, replay_id)
    assert await plan_of(two_orgs, replay_id) == ("running", "")
    await runs.ended()
    assert await plan_of(two_orgs, replay_id) == ("stopped", "it was stopped")


async def test_what_is_stopped_as_it_begins_is_not_left_running(two_orgs: Settings) -> None:
    """A plan whose service ends right after the 202, before the run has connected, is recorded as stopped."""
    replay_id, runs = await planned(two_orgs), Runs(two_orgs, 1, 1)
    await runs.begin_replay(replay_job(two_orgs, ReplayOptions(replay_id)), ALICE, replay_id)
    await runs.ended()
    assert await plan_of(two_orgs, replay_id) == ("stopped", "it was stopped")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            PreconditionFailed("Kafka at 10.0.0.7:9092 does not answer"),
            "Postgres or Kafka is unreachable, or does not meet a requirement; see ",
        ),
        (SinkUnavailable("connecting to Postgres as owner"), "Postgres or Kafka did not answer; see "),
        (
            BreakerOpen("the circuit breaker is open: site 3 storms"),
            "the circuit breaker is open; run the replay ",
        ),
        (BridgeError("the canary failed"), "the canary failed"),
    ],
)
async def test_why_a_replay_ended_tells_nothing_of_others(
    two_orgs: Settings, monkeypatch: pytest.MonkeyPatch, error: BridgeError, said: str
) -> None:
    """The plan shows the reason without hosts, accounts and other sites; the run's record has the whole error."""

    @asynccontextmanager
    async def failing_clients(_settings: Settings) -> AsyncIterator[None]:
        raise error
        yield

    monkeypatch.setattr(replay, "publishing_replays", failing_clients)
    replay_id, runs = await planned(two_orgs), Runs(two_orgs, 1, 1)
    run_id = await runs.begin_replay(replay_job(two_orgs, ReplayOptions(replay_id)), ALICE, replay_id)
    assert (await record(two_orgs, run_id))[2][0]["reason"] == str(error)
    state, because = await plan_of(two_orgs, replay_id)
    assert state == "stopped"
    assert because.startswith(said)
    assert ("bridge runs show" in because) == (type(error) in (PreconditionFailed, SinkUnavailable))


async def test_its_end_stops_what_is_in_hand(two_orgs: Settings) -> None:
    """Leaving stops the jobs in flight and records the reason; a job that would begin afterwards is refused."""
    runs = Runs(two_orgs, 2, 2)
    run_id = await runs.begin_replay(hanging(), ALICE, "one")
    with pytest.raises(Problem) as caught:
        await runs.begin_replay(hanging(), ALICE, "one")
    assert caught.value.code is Code.ANOTHER_RUN
    runs.leave()
    await runs.ended()
    code, _, errors = await record(two_orgs, run_id)
    assert (code, errors[0]["reason"]) == (1, "stopped by the end of the service; what was committed stays")
    with pytest.raises(Problem) as caught:
        await runs.finish(hanging(), ALICE, "another")
    assert caught.value.code is Code.SERVICES_AWAY


async def test_signals_stay_the_service_s(two_orgs: Settings) -> None:
    """The service's signal handler works while a job runs and after it."""
    told: list[str] = []
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.append, "TERM")
    try:
        runs = Runs(two_orgs, 1, 1)
        await runs.begin_replay(hanging(), ALICE, "one")
        os.kill(os.getpid(), signal.SIGTERM)
        await wait_until(lambda: told, budget_seconds=60, describe="the service's own handler")
        await runs.ended()
        os.kill(os.getpid(), signal.SIGTERM)
        await wait_until(lambda: len(told) == 2, budget_seconds=60, describe="the handler after the run")
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
