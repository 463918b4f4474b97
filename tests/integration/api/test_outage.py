"""The API while Postgres is away: 503 with Retry-After; an interrupted replay can be resumed."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from support.events.replays import dead_letters, late, replay_settings
from support.events.settled import working
from support.infrastructure.servers import stack_directory
from support.processes.api import api, client, made_plan, ok, refused, sent, token, when
from support.wait import wait_until

from schemas.config.settings import Settings
from sinks.postgres.registry.admin import add_script
from sinks.postgres.schema.migrate import migrate
from tools.faults.servers import Servers


@pytest.fixture
async def own() -> AsyncIterator[tuple[Servers, Settings]]:
    """Servers of this test alone, which it may kill."""
    with stack_directory() as directory:
        servers = Servers(directory)
        try:
            await servers.start()
            settings = replay_settings(servers, servers.database_url, "outage.")
            await migrate(settings.dsn)
            await dead_letters(settings, late(100))
            await add_script(settings.dsn, "late", 1)
            yield servers, settings
        finally:
            servers.stop()


async def test_postgres_is_killed_under_a_replay(own: tuple[Servers, Settings], tmp_path: Path) -> None:
    """Requests get 503 without a host name; once Postgres is back, they succeed and the replay resumes."""
    servers, settings = own
    text = await token(settings, "alice", org_id=1)
    with api(settings, tmp_path / "log", start_timeout="1s") as found:
        async with client(found, text) as one:
            plan_id = await made_plan(one, filter={"script_id": ["late"]})
            ok(await one.post(f"/v1/plans/{plan_id}/replay", json={"rate_per_second": 5}), 202)
            await sent(one, plan_id, 1)
            servers.signal("postgres", signal.SIGKILL)
            for path in ("/v1/dead-letters", "/v1/dead-letters/export", "/v1/plans", f"/v1/plans/{plan_id}"):
                await _told(one, await one.get(path))
            await _told(one, await one.post("/v1/plans", json={"filter": {"site_id": [1]}}))
            assert ok(await one.get("/v1/me"))["name"] == "alice"

            async def noticed() -> bool:
                return (await one.get("/ready")).status_code == 503

            await wait_until(noticed, budget_seconds=60, describe="not ready")
            await servers.start_postgres()

            async def back() -> bool:
                return (await one.get(f"/v1/plans/{plan_id}")).status_code == 200

            await wait_until(back, budget_seconds=60, describe="answers again")
            seen = await when(one, plan_id, running=False, resumable=True)
            assert seen["published"] < 100
            async with working(settings):
                ok(await one.post(f"/v1/plans/{plan_id}/replay", json={}), 202)
                done = await when(one, plan_id, state="sent", running=False)
            assert done["outcomes"] == {"persisted": 100}
        assert found.stop() == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


async def _told(one: httpx.AsyncClient, answer: httpx.Response) -> None:
    detail = refused(answer, 503, "services_away")
    assert int(answer.headers["retry-after"]) > 0
    assert "127.0.0.1" not in detail
