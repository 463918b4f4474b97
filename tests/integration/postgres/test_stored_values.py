"""The storage of values: Postgres compresses none, because a sender can make a value that takes long to compress."""

import asyncpg

COMPRESSED = """
SELECT c.relname || '.' || a.attname
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
    AND a.attnum > 0 AND NOT a.attisdropped AND a.attstorage = 'x'
"""


async def test_no_column_is_compressed(database_url: str) -> None:
    """The columns of tables, of existing partitions and of partitions that are made later."""
    conn = await asyncpg.connect(database_url)
    try:
        await conn.execute(
            "CREATE TABLE later PARTITION OF bridge_event FOR VALUES FROM ('2099-01-01') TO ('2099-02-01')"
        )
        found = [row[0] for row in await conn.fetch(COMPRESSED)]
    finally:
        await conn.close()

    assert found == []
