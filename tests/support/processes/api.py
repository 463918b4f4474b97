"""A real `bridge api serve` in its own process, its tokens, and clients with tokens."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from bridge.api.authentication import Caller
from bridge.jobs.frame import Job, RunOptions, perform
from bridge.jobs.plan import PlanOptions, plan_job
from bridge.jobs.run import Run
from schemas.api_token import Role
from schemas.config.settings import Settings
from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.documents.replay import ReplaySummary
from sinks.postgres.tokens.api_tokens import create_api_token
from streams.rules.correction import Correction
from support.events.settled import fetch
from support.processes.gateway import Gateway, bearer, service
from support.wait import wait_until

Api = Gateway
OF_SITE_1 = DeadLetterFilter(site_id=(1,))
ALICE = Caller("alice", "k", Role.OPERATOR, None, None)
_WAIT_SECONDS = 60


@contextmanager
def api(settings: Settings, log: Path, **more: object) -> Iterator[Api]:
    """Run the API on a free port; assert that its log has no token's secret."""
    more = {"api_requests_per_second": 0, "max_retries": settings.max_retries} | more
    with service("api", ("api", "serve"), settings, log, **more) as found:
        yield found
    assert "sk_" not in log.read_text()


async def token(settings: Settings, name: str, role: Role = Role.OPERATOR, org_id: int | None = None) -> str:
    """Create a token and return its text."""
    return (await create_api_token(settings.dsn, name, role, org_id=org_id)).text


@asynccontextmanager
async def client(found: Api, text: str) -> AsyncIterator[httpx.AsyncClient]:
    """Make a client with the token, as soon as the service accepts it."""
    async with httpx.AsyncClient(base_url=found.url, headers=bearer(text), timeout=60) as made:

        async def known() -> bool:
            return (await made.get("/v1/me")).status_code == 200

        await wait_until(known, budget_seconds=_WAIT_SECONDS, describe="the service to know the token")
        yield made


def ok(answer: httpx.Response, status: int = 200) -> Any:
    """Assert the response's status and return its document."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    return answer.json()


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """Assert the refusal's status, code and form, and return its detail."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    told = answer.json()
    assert told["error_code"] == code, told
    assert told["status"] == status
    assert told["request_id"] == answer.headers["x-request-id"]
    detail: str = told["detail"]
    return detail


async def made_plan(one: httpx.AsyncClient, **body: object) -> str:
    """Make a plan over the API and return its id."""
    planned: str = ok(await one.post("/v1/plans", json=body), 201)["replay_id"]
    return planned


async def when(one: httpx.AsyncClient, plan_id: str, **wanted: object) -> dict[str, Any]:
    """Wait until the plan has these values and return it."""
    found: dict[str, Any] = {}

    async def so() -> bool:
        found.update(ok(await one.get(f"/v1/plans/{plan_id}")))
        return all(found[name] == value for name, value in wanted.items())

    await wait_until(so, budget_seconds=_WAIT_SECONDS, describe=lambda: f"{wanted}, have {found}")
    return found


async def sent(one: httpx.AsyncClient, plan_id: str, items: int) -> None:
    """Wait until this number of items was sent."""

    async def gone() -> bool:
        return bool(ok(await one.get(f"/v1/plans/{plan_id}"))["published"] >= items)

    await wait_until(gone, budget_seconds=_WAIT_SECONDS, describe="a first part sent")


def failing(error: BaseException, *, quiet: bool = False) -> Job[ReplaySummary]:
    """Make a replay job that fails immediately with this error; a `quiet` one fails before it has changed anything."""

    async def work(_run: Run[ReplaySummary]) -> None:
        raise error

    return Job("dlq-replay", ReplaySummary, work, quiet=quiet)


async def planned(settings: Settings) -> str:
    """Make a plan of all dead letters of site 1 and return its id."""
    replay_id = uuid4()
    options = PlanOptions(OF_SITE_1, Correction([]), "", None, passing=False)
    summary, code = await perform(plan_job(settings, options, replay_id), settings, RunOptions(str(replay_id)))
    assert code == 0, summary.errors
    return str(replay_id)


async def plan_of(settings: Settings, replay_id: str) -> tuple[str, str]:
    """Return the state of the plan, and the reason why it ended."""
    (row,) = await fetch(settings, "SELECT state, ended_because FROM replay WHERE replay_id = $1", replay_id)
    return row[0], row[1]
