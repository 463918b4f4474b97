"""Queries for analysts: the usual questions, the months that they read, a reader's account, and own columns."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import asyncpg
import pytest
from support.events.dead_letters import add_dropped, dropped
from support.events.settled import event, prepare, produce, settings_for, working
from support.infrastructure.accounts import account
from support.infrastructure.databases import as_admin
from support.processes.programs import CHECKOUT
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from schemas.config.service import Service
from schemas.reasons import DroppedReason
from sinks.postgres.schema.check import blocking_differences, check_database
from sinks.postgres.schema.monthly_partitions import make_partitions, month
from sinks.postgres.schema.privileges import READABLE

MONTHS_AHEAD = 6
NOW = datetime.now(UTC)
# In a month that the fixture creates, far from its ends.
NOON = datetime(month(NOW.date(), 3).year, month(NOW.date(), 3).month, 15, 12, tzinfo=UTC)
QUESTIONS = ("conversions_by_campaign", "top_pages", "events_per_hour")


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A session of the owner, in a database with many months."""
    conn = await asyncpg.connect(database_url)
    try:
        await make_partitions(database_url, conn, MONTHS_AHEAD)
        yield conn
    finally:
        await conn.close()


_OFFSETS = count()


async def stored(
    conn: asyncpg.Connection, occurred: datetime, *, received: datetime | None = None, **more: Any
) -> None:
    """Insert an event; `received` is `occurred` unless given."""
    row = {
        "received_at": received or occurred,
        "occurred_at": occurred,
        "site_id": 7,
        "script_id": "shop",
        "event_id": f"e{next(_OFFSETS)}",
        "event_type": "page_view",
        "properties": "{}",
        "schema_version": 2,
        "raw_topic": "t",
        "raw_partition": 0,
        "raw_offset": next(_OFFSETS),
        "attempt": 1,
    } | more
    places = ", ".join(f"${at}" for at in range(1, len(row) + 1))
    await conn.execute(f"INSERT INTO bridge_event ({', '.join(row)}) VALUES ({places})", *row.values())


async def months_read(conn: asyncpg.Connection, question: str, *parameters: Any) -> set[str]:
    """The months that Postgres scans for the query, as YYYY_MM."""
    plan = "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {question}", *parameters))
    assert "Function Scan" not in plan
    return set(re.findall(r" on bridge_event_(\d{4}_\d\d)\b", plan))


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_question_reads_the_months_of_its_range_only(owner: asyncpg.Connection, question: str) -> None:
    """A day in the middle reads one month; the first day also reads the previous one, as clocks may be ahead."""
    ask = f"SELECT * FROM {question}($1, $2)"
    first = NOON.replace(day=1, hour=0)

    assert await months_read(owner, ask, NOON, NOON + timedelta(days=1)) == {f"{NOON:%Y_%m}"}
    assert await months_read(owner, ask, first, first + timedelta(days=1)) == {
        f"{first - timedelta(hours=1):%Y_%m}",
        f"{first:%Y_%m}",
    }


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_view_of_30_days_reads_their_months_only(owner: asyncpg.Connection, question: str) -> None:
    """The view reads the months of the last 30 days and of the 8 to come."""
    days = [NOW + timedelta(days=day) for day in range(-31, 9)]

    found = await months_read(owner, f"SELECT * FROM {question}_30d")

    assert found
    assert found <= {f"{day:%Y_%m}" for day in days}


async def test_conversions_are_counted_by_campaign_and_day(owner: asyncpg.Connection) -> None:
    """Conversions count by currency, too, and by the time when they occurred, not when they were received."""
    bought = {"event_type": "purchase", "utm_campaign": "autumn", "currency": "EUR"}
    await stored(owner, NOON, value=Decimal("12.5"), **bought)
    await stored(owner, NOON, received=NOON + timedelta(days=7, hours=23), value=Decimal("7.5"), **bought)
    await stored(owner, NOON, received=NOON - timedelta(minutes=59), value=Decimal(1), **(bought | {"currency": "USD"}))
    await stored(owner, NOON - timedelta(days=1), value=Decimal(99), **bought)
    await stored(owner, NOON, **(bought | {"event_type": "form_submit"}))
    day = (NOON.replace(hour=0), NOON.replace(hour=0) + timedelta(days=1))

    found = await owner.fetch("SELECT * FROM conversions_by_campaign($1, $2) ORDER BY currency", *day)
    forms = await owner.fetch("SELECT * FROM conversions_by_campaign($1, $2, '{form_submit}')", *day)

    assert [(row["day"], row["utm_campaign"], row["currency"], row["conversions"], row["value"]) for row in found] == [
        (NOON.date(), "autumn", "EUR", 2, 20),
        (NOON.date(), "autumn", "USD", 1, 1),
    ]
    assert [(row["event_type"], row["conversions"], row["value"]) for row in forms] == [("form_submit", 1, None)]


async def test_pages_and_hours_leave_out_what_another_event_counts_instead_of(owner: asyncpg.Connection) -> None:
    """A visitor's event that a server's event superseded is in neither."""
    page = {"url_host": "shop.example", "url_path": "/a", "visitor_id": "v1"}
    await stored(owner, NOON, **page)
    await stored(owner, NOON, **page)
    await stored(owner, NOON, **(page | {"visitor_id": None}))
    await stored(owner, NOON, event_id="twice", sender="visitor", **page)
    await owner.execute("INSERT INTO bridge_event_superseded VALUES (7, 'twice', 't', 0, 1)")

    pages = await owner.fetch("SELECT * FROM top_pages($1, $2)", NOON, NOON + timedelta(hours=1))
    hours = await owner.fetch("SELECT * FROM events_per_hour($1, $2)", NOON, NOON + timedelta(hours=1))

    assert [tuple(row) for row in pages] == [(7, "shop.example", "/a", 3, 1)]
    assert [tuple(row) for row in hours] == [(NOON, 7, "page_view", 3)]


async def test_drop_reasons_are_of_the_site_that_the_event_names(owner: asyncpg.Connection, database_url: str) -> None:
    """Drops count by day, site, registration and reason, without replays and with duplicates."""
    reasons, sites = list(DroppedReason), (7, 12, None)
    kinds = [(reason, site) for reason in reasons for site in sites]
    rows = [
        dropped(2 * number + copy, dropped_reason=reason, site_id=site, dropped_at=NOON + timedelta(minutes=copy),
                disposition=None if reason is DroppedReason.DUPLICATE_EVENT_ID else "open")
        for number, (reason, site) in enumerate(kinds)
        for copy in (0, 1)
    ]  # fmt: skip
    others = [dropped(900, dropped_at=NOON, replay_of="bridge.raw:0:0"), dropped(901, dropped_at=NOON - timedelta(1))]
    await add_dropped(database_url, [*rows, *others])

    found = await owner.fetch("SELECT * FROM drop_reasons($1, $2)", NOON, NOON + timedelta(days=1))

    assert {tuple(row) for row in found} == {(NOON.date(), site or 0, reason.value, 2) for reason, site in kinds}


async def test_a_reader_reads_what_is_for_readers_and_nothing_else(stack: StackAddresses, database_url: str) -> None:
    """A reader sees no payload of a dead letter and no digest of a token, and can't write."""
    admin = as_admin(stack, database_url)
    with account(admin, Service.READER) as url:
        assert await check_database(url, months_ahead=2, service=Service.READER) == []
        conn = await asyncpg.connect(url)
        try:
            for relation in READABLE:
                await conn.fetch(f"SELECT * FROM {relation}")
            for question in QUESTIONS:
                await conn.fetch(f"SELECT * FROM {question}(now(), now())")
            for forbidden in (
                "SELECT payload FROM bridge_event_raw",
                "SELECT last_error FROM bridge_event_raw",
                "SELECT last_error FROM replay_outcome",
                "SELECT digest FROM api_token",
                "SELECT digest FROM script_token",
                "SELECT summary FROM script_run",
                "DELETE FROM bridge_event",
                "UPDATE site SET org_id = NULL",
                "CREATE TABLE mine (id int)",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await conn.execute(forbidden)
        finally:
            await conn.close()


async def test_dead_letters_are_shown_without_what_was_sent(owner: asyncpg.Connection) -> None:
    """The message keeps its words; quoted texts and numbers are replaced."""
    await owner.execute(
        "INSERT INTO bridge_event_raw (raw_topic, raw_partition, raw_offset, payload, record_time, received_at,"
        " first_failed_at, last_error, error_class, normalized, dropped_reason)"
        " VALUES ('t', 0, 1, '\\x00', now(), now(), now(), 'email: ''a@b.example'' is no number of 17', 'schema_violation',"
        " true, 'schema_violation')"
    )

    (row,) = await owner.fetch("SELECT * FROM bridge_dead_letter")

    assert row["message"] == "email: … is no number of …"
    assert not {"payload", "headers", "record_key", "last_error"} & set(dict(row))


_SAID = (
    "INSERT INTO bridge_event_raw (raw_topic, raw_partition, raw_offset, record_time, received_at, first_failed_at,"
    " last_error, error_class, normalized, dropped_reason)"
    " VALUES ('t', 0, $1, now(), now(), now(), $2, $3, true, 'schema_violation')"
)
_REFUSED = "writing events: InvalidTextRepresentationError: "


@pytest.mark.parametrize(
    ("error_class", "said", "shown"),
    [
        (
            "sink_rejected_row", f'{_REFUSED}invalid input syntax for type integer: "a" SECRET "b" (SQLSTATE 22P02)',
            "writing events: InvalidTextRepresentationError (SQLSTATE 22P02)",
        ),
        ("sink_rejected_row", f"{_REFUSED}SECRET (SQLSTATE 22P02) SECRET", "writing events: InvalidTextRepresentationError"),
        ("sink_rejected_row", "SECRET: SECRET", "writing events"),
        ("schema_violation", "currency: 'MY SECRET\nDETAIL:x' is unknown", "currency: … is unknown"),
        ("schema_violation", "properties.'abc…; value: 'SECRET' is not a number", "properties.…"),
        ("schema_violation", "currency: 'abc' is unknown; value: 'SECRET", "currency: … is unknown; value: …"),
        ("unknown_script", 'script "it\'s SECRET" is not registered', "script … is not registered"),
        ("unknown_script", "script 'it\\'s \"a\" SECRET' is not registered", "script …"),
    ],
    ids=range(8),
)  # fmt: skip
async def test_no_word_of_a_value_is_in_a_dead_letter_s_message(
    owner: asyncpg.Connection, error_class: str, said: str, shown: str
) -> None:
    """Values are replaced in every kind of quotation mark, and in messages that were cut."""
    await owner.execute(_SAID, 1, said, error_class)
    assert await owner.fetchval("SELECT message FROM bridge_dead_letter") == shown


async def summarized(conn: asyncpg.Connection) -> dict[str, bool]:
    """By month, whether autovacuum summarises its BRIN index."""
    rows = await conn.fetch(
        "SELECT c.relname, coalesce('autosummarize=on' = ANY (i.reloptions), false) AS is_on"
        " FROM pg_inherits AS m JOIN pg_class AS c ON c.oid = m.inhrelid JOIN pg_index AS x ON x.indrelid = c.oid"
        " JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_am AS a ON a.oid = i.relam"
        " WHERE m.inhparent = 'bridge_event'::regclass AND a.amname = 'brin'"
    )
    return {row["relname"]: row["is_on"] for row in rows}


async def test_every_month_is_summarised_by_itself(database_url: str, owner: asyncpg.Connection) -> None:
    """New months and those of an earlier release; a month that a query locks is skipped until the next run."""
    older = f"bridge_event_{month(NOW.date(), 1):%Y_%m}"
    found = await summarized(owner)
    assert len(found) == MONTHS_AHEAD + 2
    assert all(found.values())

    (index,) = await owner.fetchrow(
        "SELECT i.relname FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_am AS a ON a.oid = i.relam"
        " WHERE x.indrelid = $1::text::regclass AND a.amname = 'brin'",
        older,
    )
    await owner.execute(f"ALTER INDEX {index} RESET (autosummarize)")
    other = await asyncpg.connect(database_url)
    try:
        async with other.transaction():
            await other.fetch(f"SELECT * FROM {older}")
            await make_partitions(database_url, owner, MONTHS_AHEAD)
            assert not (await summarized(owner))[older]
        await make_partitions(database_url, owner, MONTHS_AHEAD)
    finally:
        await other.close()
    assert all((await summarized(owner)).values())


OWN = (
    "ALTER TABLE bridge_event ADD COLUMN x_plan text GENERATED ALWAYS AS (properties ->> 'plan') STORED",
    "ALTER TABLE bridge_event ADD COLUMN x_note text",
    "ALTER TABLE bridge_event_raw ADD COLUMN x_seen boolean NOT NULL DEFAULT false",
    "ALTER TABLE site ADD COLUMN x_name text",
    "CREATE INDEX x_event_visitor ON bridge_event (visitor_id) WHERE visitor_id IS NOT NULL",
    # As a later migration leaves a view that names its table's columns by `*`.
    "CREATE OR REPLACE VIEW bridge_event_counted AS {counted}",
)


async def test_a_worker_goes_on_with_own_columns(
    stack: StackAddresses, database_url: str, topic_prefix: str, owner: asyncpg.Connection
) -> None:
    """Own columns are no difference and no reason to refuse a start; earlier and later events have them."""
    settings = settings_for(stack.kafka, database_url, topic_prefix, strict_db_mode=True)
    await prepare(settings)
    counted = await owner.fetchval("SELECT pg_get_viewdef('bridge_event_counted'::regclass)")
    counted = counted.replace("original\n", "original, x_plan, x_note\n")
    assert "x_plan" in counted

    async def settled(events: int) -> None:
        await wait_until(
            lambda: owner.fetchval("SELECT count(*) = $1 FROM bridge_event", events),
            budget_seconds=60,
            describe=f"{events} events stored",
        )

    async with working(settings):
        await produce(settings, [event(0, properties={"plan": "gold"})])
        await settled(1)
        for statement in OWN:
            await owner.execute(statement.format(counted=counted))
        await produce(settings, [event(1, properties={"plan": "silver"}), b"{bad"])
        await settled(2)
    async with working(settings):
        await produce(settings, [event(2)])
        await settled(3)

    assert await check_database(database_url, months_ahead=2) == []
    assert await blocking_differences(database_url, Service.OWNER) == []
    plans = await owner.fetch("SELECT x_plan FROM bridge_event ORDER BY x_plan")
    assert [row["x_plan"] for row in plans] == ["gold", "silver", None]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("ALTER TABLE site ADD COLUMN x_must text NOT NULL", "column site.x_must: not expected; found text not null"),
        (
            "CREATE UNIQUE INDEX x_once ON bridge_event_raw (event_id)",
            "index x_once: not expected; found CREATE UNIQUE",
        ),
        ("ALTER TABLE site ADD COLUMN plan text", "column site.plan: not expected; found text"),
        ("ALTER TABLE site ADD CONSTRAINT x_few CHECK (site_id < 9)", "check site.x_few: not expected"),
        ("CREATE INDEX x_half ON ONLY bridge_event (event_id)", "index x_half: not expected"),
    ],
)
async def test_an_own_thing_that_stops_writes_is_named(
    database_url: str, owner: asyncpg.Connection, statement: str, expected: str
) -> None:
    """The prefix doesn't excuse constraints on rows or an incomplete index."""
    await owner.execute(statement)

    (line,) = await check_database(database_url, months_ahead=2)

    assert line.startswith(expected)


async def test_the_pages_statements_run_as_they_are(owner: asyncpg.Connection) -> None:
    """Each block of SQL, in order; the months of an index are this month and those to come."""
    page = (CHECKOUT / "docs" / "querying.md").read_text()
    statements = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    assert len(statements) > 5
    for statement in statements:
        await owner.execute(statement)

    on_all, on_one, attach = re.findall(r"(?:CREATE|ALTER) INDEX .*", page)
    await owner.execute(on_all)
    for name in await summarized(owner):
        for statement in (on_one, attach):
            await owner.execute(statement.replace("2026_11", name.removeprefix("bridge_event_")))
    complete = await owner.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 'x_event_visitor'::regclass")
    assert complete
