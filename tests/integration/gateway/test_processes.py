"""Several processes of a gateway: what their supervisor does when one can't start again."""

import asyncio
import json
import os
import signal
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from pydantic import SecretStr
from support.infrastructure.accounts import account, execute
from support.infrastructure.databases import as_admin
from support.processes.gateway import gateway
from support.processes.worker import spawned
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from schemas.config.service import Service
from schemas.config.settings import Settings


async def test_a_refused_login_ends_the_gateway(stack: StackAddresses, settings: Settings, tmp_path: Path) -> None:
    """A process without a connection left is started again; one whose login is refused ends the command with 3."""
    log, admin = tmp_path / "log", as_admin(stack, settings.dsn)
    with account(admin, Service.GATEWAY) as url:
        own = settings.model_copy(update={"database_url": SecretStr(url)})
        with gateway(own, log, gateway_processes=2, env="staging") as found:
            name = urlsplit(url).username
            await wait_until(lambda: len(spawned(found.process.pid)) == 2, budget_seconds=60, describe=log.read_text)
            # The connection that the other process keeps leaves none for the next one.
            await wait_until(lambda: both_connected(admin, name), budget_seconds=60, describe=log.read_text)
            await execute(admin, f"ALTER ROLE {name} CONNECTION LIMIT 1")
            os.kill(spawned(found.process.pid)[0], signal.SIGKILL)
            await wait_until(lambda: lines(log, "process_start_failed"), budget_seconds=60, describe=log.read_text)
            await execute(admin, f"ALTER ROLE {name} NOLOGIN")
            assert await asyncio.to_thread(found.process.wait, 60) == 3, log.read_text()
        printed = [line for line in log.read_text().splitlines() if line.startswith("error: ")]
        assert len(printed) == 1
        assert "not permitted to log in" in printed[0]


async def both_connected(admin: str, role: str | None) -> bool:
    """Whether the role has two connections that are kept; those of start checks are closed at once."""
    conn = await asyncpg.connect(admin)
    try:
        kept = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND backend_start < now() - interval '1 s'"
        return bool(await conn.fetchval(kept, role) == 2)
    finally:
        await conn.close()


def lines(log: Path, event: str) -> list[dict[str, object]]:
    found = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == event]
