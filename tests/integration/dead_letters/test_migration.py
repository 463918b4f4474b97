"""Dead letters from before there were groups, and those that the release before still writes."""

import secrets

import asyncpg
from support.databases import create_database, drop_database
from support.dead_letters import DROPPED_AT

from bridge.stack import StackAddresses
from sinks.migrate import migrations

OURS = 5
BEFORE = """
INSERT INTO bridge_event_raw (
    raw_topic, raw_partition, raw_offset, event_id, record_time, received_at, first_failed_at, last_error, error_class,
    normalized, dropped_reason, disposition, updated_at
)
VALUES ('bridge.raw', 0, $1, 'e-1', $2, $2, $2, $3, 'schema_violation', true, 'schema_violation', 'open', $2)
"""


async def test_rows_of_the_release_before_are_found_like_others(stack: StackAddresses) -> None:
    """What was dropped before has its time and its group, and what is written as before has them too."""
    name = f"before_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(create_database(stack, name))
    try:
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
    # The one that is written now was dropped now, whatever its writer says of other times.
    assert [row["at_the_drop"] for row in rows] == [True, False]
