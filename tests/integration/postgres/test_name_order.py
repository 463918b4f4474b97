"""The order of names in a `jsonb` object, which the stream has to know."""

import json
import random

import asyncpg

from streams.pipeline.name_order import FEW_NAMES, sorted_names

LETTERS = "ab é語😀\x7f\x80"


async def test_sorted_names_are_in_the_order_of_postgres(database_url: str) -> None:
    """Postgres finds such names sorted, and does not sort them in a time that a sender has chosen."""
    chosen = random.Random(1)
    names = {"".join(chosen.choices(LETTERS, k=chosen.randrange(5))) for _ in range(4 * FEW_NAMES)}
    text = json.dumps({"inner": [dict.fromkeys(names, 1.5)], "a": 0})
    conn = await asyncpg.connect(database_url)
    try:
        stored = await conn.fetchval("SELECT $1::jsonb::text", text)
    finally:
        await conn.close()

    expected = json.loads(stored)

    found = json.loads(sorted_names(text))
    assert len(names) > FEW_NAMES
    assert list(found["inner"][0]) == list(expected["inner"][0])
