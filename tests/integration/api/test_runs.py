"""Jobs within a service: what goes wrong behind a request is on record, and the service's own signals stay its own."""

import asyncio
import json
import os
import signal
from typing import Any

import pytest
from support.settled import fetch
from support.wait import wait_until

from bridge.api.access import Caller
from bridge.api.runs import Runs
from bridge.http.problems import Code, Problem
from bridge.runs.frame import Job
from bridge.runs.run import Run
from schemas.api_token import Role
from schemas.errors import BridgeError, InvalidInput
from schemas.replay import ReplaySummary
from schemas.settings import Settings

ALICE = Caller("alice", "k", Role.OPERATOR, None, None)
pytestmark = pytest.mark.timeout(120)


def failing(error: BaseException) -> Job[ReplaySummary]:
    async def work(_run: Run[ReplaySummary]) -> None:
        raise error

    return Job("dlq-replay", ReplaySummary, work)


def hanging() -> Job[ReplaySummary]:
    async def work(_run: Run[ReplaySummary]) -> None:
        await asyncio.Event().wait()

    return Job("dlq-replay", ReplaySummary, work)


async def record(settings: Settings, run_id: str) -> tuple[int, str, list[dict[str, Any]]]:
    """Exit code, who, and the errors of a run, once it has ended."""
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
    """By whom, with its reason, whatever it was; and the place is free again."""
    runs = Runs(two_orgs, 1)
    for _ in range(2):
        run_id = await runs.begin_replay(failing(error), ALICE, "a plan")
        assert await record(two_orgs, run_id) == (code, "token:alice", [{"target": "run", "reason": said}])
        await wait_until(lambda: runs.replays == 0, budget_seconds=10, describe="a free place")
    with pytest.raises(Problem) as caught:
        await runs.finish(failing(error), ALICE, "a plan")
    assert caught.value.code is (Code.INVALID_REQUEST if code == 3 else Code.RUN_FAILED)


async def test_its_end_stops_what_is_in_hand(two_orgs: Settings) -> None:
    """And notes so; what was to begin after that ends at once."""
    runs = Runs(two_orgs, 2)
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
    """A job takes none of them away, neither while it runs nor after it."""
    told: list[str] = []
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.append, "TERM")
    try:
        runs = Runs(two_orgs, 1)
        await runs.begin_replay(hanging(), ALICE, "one")
        os.kill(os.getpid(), signal.SIGTERM)
        await wait_until(lambda: told, budget_seconds=5, describe="the service's own handler")
        await runs.ended()
        os.kill(os.getpid(), signal.SIGTERM)
        await wait_until(lambda: len(told) == 2, budget_seconds=5, describe="the handler after the run")
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
