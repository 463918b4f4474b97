"""Other requests are answered while plans compute, regardless of dead letters and corrections."""

import asyncio

import httpx
from support.events.dead_letters import add_dropped, dropped
from support.events.settled import event
from support.processes.api import Api, client, ok, token
from support.processes.gateway import bearer

from schemas.api_token import Role
from schemas.config.settings import Settings

LETTERS, PLANS = 10, 4
DEAR = event(1, site_id=1, script_id="dear", properties={"p": [0] * 30_000, "q": 1}).replace(b", ", b",")
BODY = {
    "filter": {"script_id": ["dear"]},
    "patch": [
        {"op": "add", "path": "/properties/p/0", "value": 1},
        {"op": "test", "path": "/properties/p/1", "value": 0},
    ],
    "reason": "they hold everybody up",
    "dry_run": True,
}


async def test_health_and_lists_are_answered_beside_hung_up_plans(two_orgs: Settings, running: Api) -> None:
    """Health and another organisation's list are answered while plans compute for clients that have disconnected.

    Their payloads are the most expensive ones to correct.
    """
    await add_dropped(
        two_orgs.dsn, [dropped(1000 + number, script_id="dear", payload=DEAR) for number in range(LETTERS)]
    )
    own = await token(two_orgs, "dear", Role.OPERATOR, 10)
    async with (
        client(running, own),
        client(running, await token(two_orgs, "other", Role.VIEWER, 20)) as other,
        httpx.AsyncClient(base_url=running.url, headers=bearer(own), timeout=240) as one,
    ):
        asked = [asyncio.create_task(one.post("/v1/plans", json=BODY)) for _ in range(PLANS)]
        hung_up = asked.pop()
        await asyncio.wait({hung_up}, timeout=0.2)
        hung_up.cancel()
        while not all(task.done() for task in asked):
            ok(await other.get("/health", timeout=10))
            ok(await other.get("/v1/dead-letters?limit=5", timeout=20))
        for task in asked:
            report = ok(await task)["report"]
            assert (report["items"], len(report["samples"])) == (LETTERS, 1)
        await asyncio.gather(hung_up, return_exceptions=True)
