"""Dead letters from before groups existed, and those that the previous release still writes."""

import secrets

import asyncpg
from support.events.dead_letters import DROPPED_AT
from support.infrastructure.databases import create_database, drop_database

from bridge.dev.stack import StackAddresses
from sinks.postgres.schema.migrate import migrations
from sinks.postgres.statements import sql

OURS, BOUNDED = 5, 11
BOUND = 256
NORMALIZED = "SELECT normalized_message(one) AS cause FROM unnest($1::text[]) one"
BEFORE = """
INSERT INTO bridge_event_raw (
    raw_topic, raw_partition, raw_offset, event_id, record_time, received_at, first_failed_at, last_error, error_class,
    normalized, dropped_reason, disposition, updated_at
)
VALUES ('bridge.raw', 0, $1, 'e-1', $2, $2, $2, $3, 'schema_violation', true, 'schema_violation', 'open', $2)
"""


async def test_rows_of_the_release_before_are_found_like_others(stack: StackAddresses) -> None:
    """Older rows and rows that the previous release writes have a time and a group."""
    name = f"before_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(create_database(stack, name))
    try:
        await connection.execute(sql("migrations_table"))
        for one in migrations():
            if one.version == OURS:
                await connection.execute(BEFORE, 1, DROPPED_AT, "at byte 1")
            await connection.execute(one.text)
        await connection.execute(BEFORE, 2, DROPPED_AT, "at byte 2")
        rows = await connection.fetch(
            "SELECT raw_offset, cause, event_hash, outcome_at = $1 AS at_the_drop FROM bridge_event_raw ORDER BY 1",
            DROPPED_AT,
        )
    finally:
        await connection.close()
        drop_database(stack, name)
    assert len({row["cause"] for row in rows} - {None}) == 1
    assert len({row["event_hash"] for row in rows} - {None}) == 1
    # The new row counts as dropped now, regardless of the times in its columns.
    assert [row["at_the_drop"] for row in rows] == [True, False]


async def test_a_cause_is_what_it_was_and_has_a_bound(stack: StackAddresses) -> None:
    """Messages of up to 256 characters keep their cause; of a longer one the beginning decides."""
    name = f"cause_{secrets.token_hex(4)}"
    quoted = f"script '{'x' * 128}' is not registered"
    ordinary = [
        "event_type: String should have at least 1 character", quoted, "e" * 256, "'" * 256, "_1" * 128, "it doesn't fit",
        "a 12, b 3.5, c 2026-11-28T01:02:03Z, d 018f0000-0000-7000-8000-000000000000 '", "", f"row_7\nDETAIL: {'y' * 900}'",
    ]  # fmt: skip
    connection = await asyncpg.connect(create_database(stack, name))
    try:
        await connection.execute(sql("migrations_table"))
        for one in migrations():
            if one.version == BOUNDED:
                before = await connection.fetch(NORMALIZED, ordinary)
            await connection.execute(one.text)
        assert await connection.fetch(NORMALIZED, ordinary) == before
        assert before[1]["cause"] == "script … is not registered"
        tails = [f"{'z' * 250} 'a{tail}" for tail in ("b" * 5, "c" * 700, "d 17 " * 20)]
        assert {row["cause"] for row in await connection.fetch(NORMALIZED, tails)} == {f"{'z' * 250} …"}
        assert len(await connection.fetchval("SELECT normalized_message($1)", "'" * 1024)) <= BOUND
    finally:
        await connection.close()
        drop_database(stack, name)
