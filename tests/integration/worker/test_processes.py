"""`bridge worker --processes`: several workers share the partitions, one that dies is replaced, and a signal drains all."""

import asyncio
import os
import signal
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from support.events.settled import event, fetch, prepare, produce, settings_for
from support.infrastructure.accounts import account, execute
from support.infrastructure.databases import as_admin
from support.processes.worker import SeveralWorkers, several_workers
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from schemas.config.service import Service
from schemas.config.settings import Settings
from streams.audit import audit

pytestmark = pytest.mark.timeout(400)

STARTED = "bridge_process_restarts_total"


@pytest.fixture
async def settings(stack: StackAddresses, database_url: str, topic_prefix: str) -> Settings:
    made = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(made)
    return made


async def rows(settings: Settings) -> int:
    return int((await fetch(settings, "SELECT count(*) FROM bridge_event"))[0][0])


async def commit(settings: Settings, workers: SeveralWorkers, first: int, count: int) -> None:
    """Produce `count` events, and wait until each has a row."""
    before = await rows(settings)
    await produce(settings, [event(number) for number in range(first, first + count)])

    async def committed() -> bool:
        return await rows(settings) >= before + count

    await wait_until(committed, budget_seconds=120, describe=workers.text)
    assert await rows(settings) == before + count


def counted(figures: dict[str, float], name: str) -> float:
    return sum(value for series, value in figures.items() if series.partition("{")[0] == name)


async def stop(workers: SeveralWorkers) -> int:
    workers.process.terminate()
    return await asyncio.to_thread(workers.process.wait, 60)


async def test_two_processes_are_one_worker(settings: Settings, tmp_path: Path) -> None:
    """They share the partitions and lanes, /metrics adds up, log lines name the process, and SIGTERM drains both."""
    async with several_workers(settings, tmp_path / "log") as workers:
        await commit(settings, workers, 0, 400)
        assert {line["process"] for line in workers.lines("assigned") if line["partitions"]} == {1, 2}
        figures = await workers.figures()
        assert counted(figures, "bridge_events_total") == 400
        assert figures["bridge_event_freshness_seconds_count"] == 400
        assert figures['bridge_event_freshness_seconds_bucket{le="+Inf"}'] == 400
        # Two partitions of the raw topic and of each of two retry topics.
        assert figures["bridge_assigned_partitions"] == 6
        assert figures["bridge_lanes"] == 4
        assert counted(figures, "bridge_build_info") == 1
        assert figures[STARTED] == 0
        assert not [name for name in figures if "pid=" in name]

        async def lag_is_read() -> bool:
            offsets = {
                name: value for name, value in (await workers.figures()).items() if "bridge_settled_offset" in name
            }
            raw = [value for name, value in offsets.items() if f'"{settings.topics.raw}"' in name]
            return len(raw) == 2 and sum(raw) == 400

        await wait_until(lag_is_read, budget_seconds=30, describe="both partitions' offsets, once each")
        # A process of a busy machine may answer later than the supervisor waits, and is not healthy for that moment.
        await wait_until(workers.is_ready, budget_seconds=60, describe=workers.text)
        ready = (await workers.get("/ready")).json()
        assert ready["partitions"] == 6
        assert len(ready["processes"]) == 2

        async def all_healthy() -> bool:
            health = (await workers.get("/health")).json()
            return bool(health == {"status": "healthy", "processes": ["healthy", "healthy"]})

        await wait_until(all_healthy, budget_seconds=60, describe=workers.text)
        assert (await workers.get("/other")).status_code == 404

        assert await stop(workers) == 0
        assert {line["process"] for line in workers.lines("worker_stopped")} == {1, 2}
        assert not workers.lines("process_died")
    assert (await audit(settings)).balanced


async def test_a_killed_process_is_replaced(settings: Settings, tmp_path: Path) -> None:
    """The other process goes on, the replacement gets partitions, no event is lost or double, and no counter falls."""
    async with several_workers(settings, tmp_path / "log") as workers:
        await commit(settings, workers, 0, 200)
        before, figures = workers.pids(), await workers.figures()
        assert len(before) == 2
        await produce(settings, [event(number) for number in range(200, 3200)])
        os.kill(before[0], signal.SIGKILL)

        async def unready() -> bool:
            return (await workers.get("/ready")).status_code == 503

        await wait_until(unready, budget_seconds=30, describe="a process missing")

        async def whole() -> bool:
            return await rows(settings) == 3200 and await workers.is_ready()

        await wait_until(whole, budget_seconds=120, describe=workers.text)
        assert before[0] not in workers.pids()
        assert before[1] in workers.pids()
        (died,) = workers.lines("process_died")
        assert (died["pid"], died["exit_code"]) == (before[0], 128 + signal.SIGKILL)
        now = await workers.figures()
        assert now[STARTED] == 1
        assert now["process_start_time_seconds"] > figures["process_start_time_seconds"]
        assert counted(now, "bridge_events_total") >= counted(figures, "bridge_events_total") == 200
        assert now["bridge_assigned_partitions"] == 6
        assert await stop(workers) == 0
    assert (await audit(settings)).balanced


async def test_a_start_that_cannot_succeed_ends_the_command(
    stack: StackAddresses, settings: Settings, tmp_path: Path
) -> None:
    """A process that Postgres refuses at its restart ends the others with 3, and its error is printed once."""
    with account(as_admin(stack, settings.dsn), Service.WORKER) as url:
        own = settings.model_copy(update={"database_url": SecretStr(url)})
        async with several_workers(own, tmp_path / "log", BRIDGE_ENV="staging") as workers:
            await commit(settings, workers, 0, 10)
            name = urlsplit(url).username
            await execute(as_admin(stack, settings.dsn), f"ALTER ROLE {name} NOLOGIN")
            os.kill(workers.pids()[0], signal.SIGKILL)
            assert await asyncio.to_thread(workers.process.wait, 60) == 3, workers.text()
            printed = [line for line in workers.text().splitlines() if "refuses a needed operation at start" in line]
            assert [line.partition(":")[0] for line in printed] == ["error"]
            assert "not permitted to log in" in printed[0]
            assert len(workers.lines("worker_stopped")) == 1


async def test_a_service_that_is_away_at_a_restart_is_waited_for(
    stack: StackAddresses, settings: Settings, tmp_path: Path
) -> None:
    """A process without a connection left for it is started again, while the other one goes on."""
    with account(as_admin(stack, settings.dsn), Service.WORKER) as url:
        own = settings.model_copy(update={"database_url": SecretStr(url)})
        async with several_workers(own, tmp_path / "log", BRIDGE_ENV="staging") as workers:
            await commit(settings, workers, 0, 10)
            name, admin = urlsplit(url).username, as_admin(stack, settings.dsn)
            await execute(admin, f"ALTER ROLE {name} CONNECTION LIMIT 1")
            os.kill(workers.pids()[0], signal.SIGKILL)
            await wait_until(lambda: workers.lines("process_start_failed"), budget_seconds=60, describe=workers.text)
            await execute(admin, f"ALTER ROLE {name} CONNECTION LIMIT -1")
            await wait_until(workers.is_ready, budget_seconds=90, describe=workers.text)
            await commit(settings, workers, 10, 10)
            assert await stop(workers) == 0


async def test_processes_end_with_their_supervisor(settings: Settings, tmp_path: Path) -> None:
    """SIGKILL to the supervisor lets its processes drain and end."""
    async with several_workers(settings, tmp_path / "log") as workers:
        pids = workers.pids()
        workers.process.kill()
        await wait_until(lambda: not any(map(_runs, pids)), budget_seconds=60, describe=workers.text)
        assert {line["process"] for line in workers.lines("worker_stopped")} == {1, 2}


def _runs(pid: int) -> bool:
    try:
        return "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False
