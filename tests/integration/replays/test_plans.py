"""No page of dead letters and no piece of an export scans the whole ledger."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from support.infrastructure.databases import create_database, drop_database, run_apart, with_database

from bench.dead_letters import fill, questions
from bridge.dev.stack import StackAddresses
from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.pipeline.record import Provenance
from sinks.postgres.dead_letters.pages import Place, page_query
from sinks.postgres.dead_letters.stream import piece_query
from sinks.postgres.statements import sql

NOW = datetime.now(UTC)
ROWS = 30_000
QUESTIONS = {name: fields for name, fields in questions(NOW).items() if name != "a text"}


@pytest.fixture(scope="module")
def ledger(stack: StackAddresses, template_database: str):  # type: ignore[no-untyped-def]  # a fixture of this file
    """The URL of a database with dead letters of every kind."""
    name = f"planned_pages_{secrets.token_hex(4)}"
    create_database(stack, name, template=template_database)
    # The fixture ends with a CHECKPOINT, which needs a superuser.
    url = with_database(stack.admin_database_url, name)
    try:
        run_apart(fill(url, ROWS))
        yield url
    finally:
        drop_database(stack, name)


@pytest.mark.parametrize("after", [None, Place(NOW, Provenance("bridge.raw", 3, 17))], ids=["first", "later"])
@pytest.mark.parametrize("name", QUESTIONS)
async def test_a_page_is_found_by_an_index(ledger: str, name: str, after: Place | None) -> None:
    """EXPLAIN shows an index for these values."""
    chosen = DeadLetterFilter.model_validate(QUESTIONS[name])
    await assert_by_index(ledger, *page_query(chosen, limit=50, after=after))


@pytest.mark.parametrize("name", QUESTIONS)
async def test_a_piece_of_an_export_is_found_by_an_index(ledger: str, name: str) -> None:
    """A piece in the middle doesn't read earlier rows again."""
    chosen = DeadLetterFilter.model_validate(QUESTIONS[name])
    after, last = (Place(at, Provenance("bridge.raw", 3, 17)) for at in (NOW - timedelta(days=3), NOW))
    text = sql("dead_letters_export")
    await assert_by_index(ledger, *piece_query(text, chosen, after=after, last=last, most=(50, 4_000_000)))


async def assert_by_index(ledger: str, statement: str, *parameters: Any) -> None:
    connection = await asyncpg.connect(ledger)
    try:
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {statement}", *parameters))
    finally:
        await connection.close()
    assert "Seq Scan on bridge_event_raw" not in plan, plan
    assert "using bridge_event_raw" in plan or "on bridge_event_raw_" in plan, plan
