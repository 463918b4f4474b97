"""The question whose events pass, on Postgres: what it answers, what it reads, and how it ends."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import asyncpg
import pytest
from support.wait import wait_until

from schemas.errors import SinkUnavailable
from sinks.postgres import sink as postgres_sink
from sinks.postgres.sink import PostgresSink
from sinks.postgres.statements import sql

DAY_OF_WINDOWS = """
INSERT INTO gate_window
SELECT date_trunc('minute', now()) - minute * interval '1 minute', site, 't', partition, false, 1, 1, 0, 0, 0, 0, 0, 0, 0
FROM generate_series(0, 1400) AS minute, generate_series(1, 10) AS site, generate_series(0, 1) AS partition
"""
EVENT = """
INSERT INTO bridge_event (received_at, occurred_at, site_id, script_id, event_id, event_type, properties, schema_version,
                          raw_topic, raw_partition, raw_offset, attempt)
SELECT now() - $2::int * interval '1 hour', now(), site, 's', 'e', 't', '{}', 1, 't', 0, site, 1 FROM unnest($1::bigint[]) AS site
"""


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Five sites: three of organisation 1, one of organisation 2 and one of none."""
    opened = await asyncpg.connect(database_url)
    await opened.execute("INSERT INTO org SELECT generate_series(1, 2)")
    await opened.execute("INSERT INTO site (site_id, org_id) VALUES (1, 1), (2, 1), (3, 1), (4, 2), (5, NULL)")
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    ("sending", "owners"),
    [([], 0), ([1, 2, 3], 1), ([2, 4], 2), ([3, 5], 2), ([4, 5], 2), ([9], 0)],
    ids=["nobody", "one organisation", "two", "one and a site of none", "both others", "a site that is not registered"],
)
async def test_it_names_two_owners_of_the_day(
    conn: asyncpg.Connection, database_url: str, sending: list[int], owners: int
) -> None:
    """Whoever fails, one of two is another. Events that were received earlier do not count."""
    await conn.execute(EVENT, sending, 23)
    await conn.execute(EVENT, [1, 4, 5], 25)
    async with aclosing(PostgresSink(database_url, "g")) as sink:
        found = await sink.passing(60, 30)
    assert found is not None
    assert found.in_day <= set(sending)
    assert len({{1: "one", 2: "one", 3: "one"}.get(site, site) for site in found.in_day}) == len(found.in_day) == owners


async def test_what_it_reads_does_not_depend_on_the_day(conn: asyncpg.Connection) -> None:
    """It reads the windows of two minutes, and no page for each of the day's."""
    await conn.execute(DAY_OF_WINDOWS)
    await conn.execute("SET enable_seqscan = off")
    asked = 60.0, 100, "g", 30.0
    await conn.fetch(sql("passing"), *asked)  # reads the catalogue
    (found,) = await conn.fetchrow(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql('passing')}", *asked)
    plan = json.loads(found)[0]["Plan"]
    pages = await conn.fetchval("SELECT pg_relation_size('gate_window') / 8192")
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 100 < pages / 2


async def test_it_ends_in_time_and_the_connection_stays(
    conn: asyncpg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lane goes on without an answer, on the same connection."""
    monkeypatch.setattr(postgres_sink, "PASSING_SECONDS", 0.2)
    async with aclosing(PostgresSink(database_url, "g")) as sink:
        assert await sink.passing(60, 30) is not None
        before = sink._pid
        async with conn.transaction():
            await conn.execute("LOCK gate_window IN ACCESS EXCLUSIVE MODE")
            assert await sink.passing(60, 30) is None
        assert await sink.passing(60, 30) is not None
        assert sink._pid == before


async def test_what_was_cut_does_not_run_on(
    conn: asyncpg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres ends the statement of a connection that the worker has closed."""
    monkeypatch.setattr(postgres_sink, "OPERATION_SECONDS", 0.5)
    async with aclosing(PostgresSink(database_url, "g")) as sink:
        with pytest.raises(SinkUnavailable, match="no answer from Postgres"):
            async with sink._working("sleeping") as lane:
                await lane.execute("SELECT pg_sleep(600)")
        pid = sink._pid

        async def ended() -> bool:
            return not await conn.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid)

        await wait_until(ended, budget_seconds=30, describe="the end of the session")
