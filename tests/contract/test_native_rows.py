"""Postgres stores the same rows, whether they are written as JSON lines, or encoded natively in binary form."""

from dataclasses import replace
from random import Random

import asyncpg
import pytest
from support.events.hostile import SCRIPTS, records
from support.events.making import batch, context, process
from support.events.native import natively

from schemas.pipeline.outcome import Encoded
from sinks.postgres.transaction import write_events
from streams.pipeline.native import AVAILABLE

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="the native module is not installed")

COLUMNS = "(SELECT * FROM by_python EXCEPT ALL SELECT * FROM bridge_event)"
REVERSED = "(SELECT * FROM bridge_event EXCEPT ALL SELECT * FROM by_python)"


async def test_both_forms_of_copy_make_the_same_rows(database_url: str) -> None:
    """Rows of both paths are in one batch. All columns are compared, NULLs included."""
    given = context(registry=SCRIPTS)
    made = records(Random(5), 4000)
    python = process(batch(*made), replace(given, seen=set())).candidates
    mixed = process(batch(*made), natively(given)).candidates
    assert {type(one) is Encoded for one in mixed} == {True, False}
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("CREATE TABLE other_months PARTITION OF bridge_event DEFAULT")
        # The time of the transaction is a column too.
        await connection.execute("ALTER TABLE bridge_event ALTER COLUMN normalized_at SET DEFAULT '2025-01-01'")
        await write_events(connection, python)
        await connection.execute("CREATE TABLE by_python AS SELECT * FROM bridge_event; TRUNCATE bridge_event")
        await write_events(connection, mixed)
        assert await connection.fetchval("SELECT count(*) FROM bridge_event") == len(python) > 500
        assert await connection.fetch(f"{COLUMNS} UNION ALL {REVERSED}") == []
    finally:
        await connection.close()
