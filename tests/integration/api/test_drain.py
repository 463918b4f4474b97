"""SIGTERM while a request is in flight that does not end."""

import asyncio
from pathlib import Path

import asyncpg
from support.processes.api import api, client, refused, token
from support.wait import wait_until

from schemas.config.settings import Settings

_WAITING = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'bridge_event_raw'::regclass"


async def test_a_request_that_outlasts_the_drain_gets_503(two_orgs: Settings, tmp_path: Path) -> None:
    """The client learns that the request may be sent again; the process ends in order."""
    text = await token(two_orgs, "alice", org_id=10)
    blocking = await asyncpg.connect(two_orgs.dsn)
    try:
        with api(two_orgs, tmp_path / "log", api_drain_timeout="1s") as found:
            async with client(found, text) as one:
                await blocking.execute("BEGIN; LOCK TABLE bridge_event_raw IN ACCESS EXCLUSIVE MODE")
                asked = asyncio.create_task(one.get("/v1/dead-letters"))
                await wait_until(
                    lambda: blocking.fetchval(_WAITING), budget_seconds=60, describe="the query to wait for the lock"
                )

                code = await asyncio.to_thread(found.stop)

                answer = await asked
                assert "drain" in refused(answer, 503, "overloaded")
                assert int(answer.headers["retry-after"]) > 0
                assert code == 0
    finally:
        await blocking.close()
