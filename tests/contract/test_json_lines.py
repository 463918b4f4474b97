"""COPY reads back from JSON lines exactly what was written, for any text."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinks.postgres import copy_encoder
from sinks.postgres.transaction import UNENCODABLE

COLUMNS = ("text", "absent", "number", "amount", "moment", "document")
TABLE = "CREATE TEMP TABLE lines (text text, absent text, number bigint, amount numeric, moment timestamptz, document jsonb)"
MARKS = ["null", "", '"', "\\", '\\"', "\\\\", "\\.", "\n", "\r\n", "]\n[", "],[", ",", "\t", "\b\f\x01\x1f\x7f", "\\n",
         "\\u0001", "é\u2028😀", '","', "\\N", "'", "[", "]"]  # fmt: skip


class Row(msgspec.Struct):
    """A row with one column of each type."""

    text: str
    absent: str | None
    number: int
    amount: Decimal | None
    moment: datetime
    document: str


texts = st.lists(
    st.sampled_from(MARKS) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
    max_size=6,
).map("".join)
rows = st.builds(
    Row,
    text=texts,
    absent=st.none() | texts,
    number=st.integers(-(2**63), 2**63 - 1),
    amount=st.none() | st.decimals(-(10**15), 10**15, places=6),
    moment=st.integers(0, 10**12).map(lambda seconds: datetime.fromtimestamp(seconds / 10, UTC)),
    document=texts.map(lambda text: msgspec.json.format(msgspec.json.encode({text: [text]}), indent=1).decode()),
)


async def written(connection: asyncpg.Connection, given_rows: list[Row]) -> list[Row]:
    await connection.execute(f"DROP TABLE IF EXISTS lines; {TABLE}")
    source = copy_encoder.parts(given_rows)
    await connection.copy_to_table("lines", source=source, columns=COLUMNS, **copy_encoder.OPTIONS)
    return [Row(**row) for row in await connection.fetch("SELECT * FROM lines ORDER BY ctid")]


def alike(row: Row) -> tuple[object, ...]:
    return (*msgspec.structs.astuple(row)[:-1], msgspec.json.decode(row.document))


async def test_every_row_comes_back(stack, database_url: str) -> None:
    """Rows survive with COPY's, CSV's and JSON's delimiters, absent and empty texts, and times of any zone."""
    import asyncio

    connection = await asyncpg.connect(database_url)
    loop = asyncio.get_running_loop()

    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(st.lists(rows, min_size=1, max_size=40))
    def check(given_rows: list[Row]) -> None:
        found = asyncio.run_coroutine_threadsafe(written(connection, given_rows), loop).result(30)
        assert list(map(alike, found)) == list(map(alike, given_rows))

    await asyncio.to_thread(check)
    await connection.close()


async def test_more_rows_than_one_part(stack, database_url: str) -> None:
    """No row is lost or merged with another at the boundary of two parts."""
    zone = timezone(timedelta(hours=5, minutes=30))
    many = [Row(str(n), None, n, None, datetime(2026, 1, 1, tzinfo=zone), "{}") for n in range(1001)]
    connection = await asyncpg.connect(database_url)
    assert list(map(alike, await written(connection, many))) == list(map(alike, many))
    await connection.close()


async def test_what_has_no_utf8_is_an_error_that_leaves_the_connection_whole(stack, database_url: str) -> None:
    """The sink attributes the error to the event and bisects over the same connection."""
    connection = await asyncpg.connect(database_url)
    row = Row("\ud800", None, 1, None, datetime(2026, 1, 1, tzinfo=UTC), "{}")
    with pytest.raises(UNENCODABLE):
        await written(connection, [row])
    assert await connection.fetchval("SELECT count(*) FROM lines") == 0
    await connection.close()
