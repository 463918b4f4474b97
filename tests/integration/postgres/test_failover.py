"""Postgres with several hosts, lost sessions, and poolers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from integration.worker.test_fencing import GROUP, SOURCE, commits_past_a_stopped_worker, count_of, outcomes, owner
from support.events.settled import environment_of, settings_for
from support.infrastructure.pooler import pooler
from support.processes.command import bridge
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from bridge.dev.stack.ports import LOOPBACK, choose
from schemas.errors import SinkUnavailable
from sinks.postgres import connection as postgres
from sinks.postgres import sink as postgres_sink
from sinks.postgres.connection import connection
from sinks.postgres.poolers import shares_sessions
from sinks.postgres.schema.migrate import migrate
from sinks.postgres.sink import PostgresSink
from tools.faults.proxy import Proxy


def place_of(url: str) -> str:
    return url.rpartition("@")[2].partition("/")[0]


@asynccontextmanager
async def two_hosts(database_url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy as the first host of a URL, the server itself as the second."""
    place = place_of(database_url)
    proxy = Proxy(choose(asked=None, remembered=None, taken=(), purpose="a proxy"), int(place.rpartition(":")[2]))
    await proxy.start()
    try:
        yield proxy, database_url.replace(place, f"{LOOPBACK}:{proxy.port},{place}")
    finally:
        await proxy.stop()


async def test_a_silent_host_of_two_delays_nobody(database_url: str) -> None:
    """A host that accepts connections and doesn't answer is skipped for the other one."""
    async with two_hosts(database_url) as (proxy, url):
        proxy.stall()
        async with connection(url, "test") as conn:
            assert await conn.fetchval("SELECT 1") == 1


async def test_of_two_hosts_without_a_word_on_roles_a_standby_is_passed_over(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections require a primary unless the URL sets target_session_attrs."""
    asked: list[object] = []
    connect = asyncpg.connect

    async def noted(*words: object, **options: object) -> asyncpg.Connection:
        asked.append(options.get("target_session_attrs"))
        return await connect(*words, **options)

    monkeypatch.setattr(asyncpg, "connect", noted)
    async with two_hosts(database_url) as (_, url):
        async with connection(url, "test"):
            pass
        async with connection(f"{url}?target_session_attrs=any", "test"):
            pass
    assert set(asked) == {"read-write", None}


async def test_work_whose_session_is_gone_goes_on_by_another_host(database_url: str) -> None:
    """A commit fails as soon as the new primary doesn't know its session, without waiting for a time-out.

    The old primary doesn't answer.
    """
    async with two_hosts(database_url) as (proxy, url):
        sink = PostgresSink(url, GROUP, lock_timeout=4.0)
        await sink.claim({SOURCE: 0})
        stranger = await asyncpg.connect(database_url)
        await stranger.execute("BEGIN")
        await stranger.execute("SELECT * FROM stream_offset FOR UPDATE")
        committing = asyncio.create_task(sink.commit([outcomes(0, 100)]))
        session = await wait_until(
            lambda: stranger.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ),
            budget_seconds=30,
            describe="a commit that waits",
        )
        proxy.stall()
        await stranger.fetchval("SELECT pg_terminate_backend($1)", session)
        with pytest.raises(SinkUnavailable, match="its session has ended") as caught:
            await committing
        assert caught.value.sqlstate != "57014"
        await stranger.execute("COMMIT")
        await stranger.close()
        await sink.commit([outcomes(0, 100)])
        await sink.close()
    assert await count_of(database_url, "bridge_event") == 100


async def test_a_short_pieces_connection_is_cut_when_its_session_is_gone(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is closed during any wait of a command or of the registry."""
    monkeypatch.setattr(postgres, "WATCH_SECONDS", 0.2)
    async with two_hosts(database_url) as (proxy, url):
        other = await asyncpg.connect(database_url)

        async def work() -> None:
            async with connection(url, "test") as conn:
                proxy.stall()
                await other.fetchval("SELECT pg_terminate_backend($1)", conn.get_server_pid())
                await conn.fetchval("SELECT 1")

        with pytest.raises(SinkUnavailable, match="test: its session has ended"):
            await work()
        await other.close()


async def test_a_slow_statement_on_a_server_that_lives_ends_well(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session is checked repeatedly and found alive, so that the commit completes."""
    looks: list[bool] = []
    is_gone = postgres_sink.is_gone

    async def noted(*arguments: object) -> bool:
        looks.append(await is_gone(*arguments))
        return looks[-1]

    monkeypatch.setattr(postgres_sink, "is_gone", noted)
    async with owner(database_url, lock_timeout=1.0) as sink:
        await sink.claim({SOURCE: 0})
        stranger = await asyncpg.connect(database_url)
        await stranger.execute("BEGIN")
        await stranger.execute("LOCK TABLE bridge_event")
        async with sink._working("waiting") as conn:
            await conn.execute("SET lock_timeout = 0")
        committing = asyncio.create_task(sink.commit([outcomes(0, 100)]))
        await wait_until(lambda: len(looks) >= 3, budget_seconds=30, describe="three looks")
        await stranger.execute("COMMIT")
        await stranger.close()
        await committing
    assert not any(looks)
    assert await count_of(database_url, "bridge_event") == 100


async def test_a_peer_that_acknowledges_nothing_is_noticed_by_the_kernel(database_url: str) -> None:
    """Keepalive and TCP_USER_TIMEOUT close the connection after about 20 seconds, with or without a pending answer."""
    async with connection(database_url, "test") as conn:
        sock = conn._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
        assert [sock.getsockopt(socket.IPPROTO_TCP, one) for one in options] == [10, 3, 3, 20_000]


async def test_a_stopped_workers_lock_is_broken_through_a_pooler(database_url: str) -> None:
    """A pooler's backend number is unknown to the server, so the session is found by the server's own number."""
    async with pooler(database_url, by_transaction=False) as url, owner(url) as heir:
        await commits_past_a_stopped_worker(heir, database_url)


async def test_a_pooler_in_session_mode_is_welcome(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connections are kept: sessions can't be checked by a pooler's number."""
    monkeypatch.setattr(postgres, "WATCH_SECONDS", 0.1)
    async with pooler(database_url, by_transaction=False) as url:
        assert not await shares_sessions(url)
        async with connection(url, "test") as conn:
            assert await conn.fetchval("SELECT 1 FROM pg_sleep(1)") == 1


async def test_a_pooler_in_transaction_mode_is_refused(
    stack: StackAddresses, database_url: str, topic_prefix: str
) -> None:
    """The start ends with one line that names the needed mode, before any change."""
    async with pooler(database_url, by_transaction=True) as url:
        assert await shares_sessions(url)
        with pytest.raises(Exception, match="session mode"):
            await migrate(url)
    async with pooler(database_url, by_transaction=True) as url:
        settings = settings_for(stack.kafka, url, topic_prefix)
        ended = await asyncio.to_thread(bridge, "worker", settings=environment_of(settings))
    assert ended.returncode == 3
    (line,) = [one for one in ended.stderr.decode().splitlines() if "pool" in one]
    assert "pool_mode = session" in line
    assert "hint" not in ended.stderr.decode().lower()
