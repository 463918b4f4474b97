"""Sessions on a database whose settings change the texts that Postgres renders."""

from urllib.parse import urlsplit

import asyncpg

from schemas.config.service import Service
from sinks.postgres.connection import connection
from sinks.postgres.schema.check import blocking_differences, check_database
from sinks.postgres.schema.migrate import migrate

ODD = {
    "datestyle": "German, DMY",
    "intervalstyle": "sql_standard",
    "timezone": "Asia/Kathmandu",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "quote_all_identifiers": "on",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "lc_numeric": "C.UTF-8",
}
TEXTS = """
SELECT TIMESTAMPTZ '2026-11-02 00:00:00+00' || '|' || INTERVAL '1 year 2 days 03:00' || '|' || 0.1::float8 + 0.2 || '|' ||
       '\\x00ff'::bytea::text || '|' || length('a\\b') || '|' || coalesce((NULL = NULL)::text, 'null')
"""


async def test_texts_are_the_same_whatever_the_database_has_set(empty_database: str) -> None:
    """The months are found, the catalogue has no difference, and a value's text is the usual one."""
    name = urlsplit(empty_database).path.removeprefix("/")
    conn = await asyncpg.connect(empty_database)
    try:
        for setting, value in ODD.items():
            await conn.execute(
                f"ALTER DATABASE {name} SET {setting} TO {value if setting == 'datestyle' else repr(value)}"
            )
    finally:
        await conn.close()

    await migrate(empty_database)

    assert await check_database(empty_database, months_ahead=2) == []
    assert await blocking_differences(empty_database, Service.OWNER) == []
    assert await migrate(empty_database) == []
    async with connection(empty_database, "test") as conn:
        found = await conn.fetchval(TEXTS)
        own = {setting: await conn.fetchval("SELECT current_setting($1)", setting) for setting in ODD}
    assert found == "2026-11-02 00:00:00+00|1 year 2 days 03:00:00|0.30000000000000004|\\x00ff|3|null"
    assert not {setting for setting, value in own.items() if value == ODD[setting]}
