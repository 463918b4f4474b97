"""No page of dead letters is found by reading the whole ledger."""

import secrets
from datetime import UTC, datetime

import asyncpg
import pytest
from support.databases import create_database, drop_database, run_apart, with_database

from bench.dead_letters import fill, questions
from bridge.stack import StackAddresses
from schemas.dead_letter_filter import DeadLetterFilter
from schemas.record import Provenance
from sinks.dead_letters.pages import Place, page_statement

NOW = datetime.now(UTC)
ROWS = 30_000
QUESTIONS = {name: fields for name, fields in questions(NOW).items() if name != "a text"}


@pytest.fixture(scope="module")
def ledger(stack: StackAddresses, template_database: str):  # type: ignore[no-untyped-def]  # a fixture of this file
    """The URL of a database with dead letters of every kind."""
    name = f"planned_pages_{secrets.token_hex(4)}"
    create_database(stack, name, template=template_database)
    # To fill it ends with a CHECKPOINT, which is the superuser's.
    url = with_database(stack.admin_database_url, name)
    try:
        run_apart(fill(url, ROWS))
        yield url
    finally:
        drop_database(stack, name)


@pytest.mark.parametrize("after", [None, Place(NOW, Provenance("bridge.raw", 3, 17))], ids=["first", "later"])
@pytest.mark.parametrize("name", QUESTIONS)
async def test_a_page_is_found_by_an_index(ledger: str, name: str, after: Place | None) -> None:
    """Postgres' own plan, for the values that are asked for."""
    chosen = DeadLetterFilter.model_validate(QUESTIONS[name])
    statement, parameters = page_statement(chosen, limit=50, after=after)
    connection = await asyncpg.connect(ledger)
    try:
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {statement}", *parameters))
    finally:
        await connection.close()
    assert "Seq Scan on bridge_event_raw" not in plan, plan
    assert "using bridge_event_raw" in plan or "on bridge_event_raw_" in plan, plan
