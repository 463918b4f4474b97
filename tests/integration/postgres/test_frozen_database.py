"""A Postgres whose processes are stopped keeps its connections without answering: its lanes pause meanwhile."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest
from integration.worker.test_fencing import GROUP, SOURCE, count_of, outcomes
from support.infrastructure.servers import stack_directory
from support.wait import wait_until

from bridge.dev.stack.credentials import Credentials
from bridge.dev.stack.postgres import PostgresServer
from schemas.errors import SinkUnavailable
from sinks.postgres import connection as postgres
from sinks.postgres import sink as postgres_sink
from sinks.postgres.schema.migrate import migrate
from sinks.postgres.sink import PostgresSink
from tools.faults.machines import Machines, ports


@asynccontextmanager
async def frozen_during_a_commit() -> AsyncIterator[tuple[PostgresSink, "asyncio.Task[object]", Machines, str]]:
    """A sink whose commit is in flight when all processes of its server stop."""
    with stack_directory() as directory:
        machines = Machines()
        logs = directory / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        server = PostgresServer(directory, logs / "postgres.log", ports(1)[0], Credentials.new())
        try:
            await machines.start("postgres", server)
            await asyncio.to_thread(server.ensure_database)
            url = replace(server, credentials=replace(server.credentials, applied=True)).url
            await migrate(url)
            sink = PostgresSink(url, GROUP, lock_timeout=60.0)
            await sink.claim({SOURCE: 0})
            stranger = await asyncpg.connect(url)
            await stranger.execute("BEGIN")
            await stranger.execute("SELECT * FROM stream_offset FOR UPDATE")
            committing: asyncio.Task[object] = asyncio.create_task(sink.commit([outcomes(0, 100)]))
            await wait_until(
                lambda: stranger.fetchval("SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"),
                budget_seconds=30,
                describe="a commit in flight",
            )
            ending = asyncio.create_task(stranger.execute("COMMIT"))
            machines.signal("postgres", signal.SIGSTOP)
            yield sink, committing, machines, url
            await ending
            await stranger.close()
            await sink.close()
        finally:
            await asyncio.to_thread(machines.stop)


async def test_a_frozen_database_is_noted_and_the_work_in_flight_ends_once_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The commit is neither cancelled, nor repeated, nor stored twice."""
    monkeypatch.setattr(postgres, "LOOK_SECONDS", 0.5)
    async with frozen_during_a_commit() as (sink, committing, machines, url):
        await wait_until(lambda: sink.silent, budget_seconds=60, describe="a server known to be silent")
        assert not committing.done()
        machines.signal("postgres", signal.SIGCONT)
        await committing
        assert not sink.silent
        assert await count_of(url, "bridge_event") == 100


async def test_work_that_a_frozen_database_leaves_unanswered_is_not_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit is cancelled after OPERATION_SECONDS and tried again whole: smaller batches would wait as long."""
    monkeypatch.setattr(postgres, "LOOK_SECONDS", 0.3)
    monkeypatch.setattr(postgres_sink, "LOOK_SECONDS", 0.3)
    monkeypatch.setattr(postgres_sink, "OPERATION_SECONDS", 20.0)
    async with frozen_during_a_commit() as (sink, committing, machines, url):
        with pytest.raises(SinkUnavailable, match="no answer from Postgres within 20 s") as caught:
            await committing
        assert caught.value.sqlstate is None
        machines.signal("postgres", signal.SIGCONT)
        await wait_until(lambda: sink.stored([SOURCE]), budget_seconds=60, describe="a server that answers")
        if await sink.stored([SOURCE]) == {SOURCE: 0}:
            await sink.commit([outcomes(0, 100)])
        assert await count_of(url, "bridge_event") == 100
