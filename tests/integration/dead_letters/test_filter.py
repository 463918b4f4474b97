"""The compiled filter selects the same rows in Postgres as its predicate does in Python."""

import asyncio
import secrets
from collections.abc import Iterator
from datetime import timedelta
from random import Random

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.events.dead_letters import DROPPED_AT, DroppedRow, add_dropped, dropped
from support.events.selecting import selects
from support.infrastructure.databases import create_database, drop_database

from bridge.dev.stack import StackAddresses
from schemas.documents.dead_letter_filter import DeadLetterFilter, Disposition
from schemas.errors import InvariantViolation
from schemas.pipeline.record import Provenance
from schemas.pipeline.sender import Sender
from schemas.reasons import DroppedReason, ErrorClass
from sinks.postgres.dead_letters.filter import Conditions, conditions
from sinks.postgres.dead_letters.letter import DeadLetterLine
from sinks.postgres.dead_letters.pages import read_lines
from sinks.postgres.statements import sql

ROWS = 400
ORGS = {1: 10, 2: 10, 3: 20}
SITES = [None, 1, 2, 3, 4]
SCRIPTS = [None, "s1", "S1", "sè'\"", "%", "a_b"]
EVENTS = [None, "e-1", "E-1", "\\x41", "e%1", "日本"]
ERRORS = ["script 'ÀB' is not registered", "Script 'x' IS disabled", "100 % wrong_", "ı İ ẞ kelvin K", "at 3\nand 4"]
TIMES = [DROPPED_AT + timedelta(microseconds=step) for step in (-1, 0, 1)] + [DROPPED_AT + timedelta(days=1)]
PLACES = [Provenance("bridge.raw", 0, offset) for offset in range(6)]


def rows() -> list[DroppedRow]:
    """Random rows of a seed."""
    chance = Random(6)
    made = []
    for offset in range(ROWS):
        reason = chance.choice(list(DroppedReason))
        site = chance.choice(SITES)
        disposition = None if reason is DroppedReason.DUPLICATE_EVENT_ID else chance.choice(list(Disposition)).value
        row = dropped(
            offset, dropped_reason=reason, error_class=chance.choice(list(ErrorClass)), error=chance.choice(ERRORS),
            site_id=site, script_id=chance.choice(SCRIPTS), event_id=chance.choice(EVENTS),
            sender=chance.choice([None, *Sender]), attempt=chance.randint(1, 4), dropped_at=chance.choice(TIMES), disposition=disposition,
        )  # fmt: skip
        made.append(row)
    return made


@pytest.fixture(scope="module")
def filled(stack: StackAddresses, template_database: str) -> Iterator[str]:
    """The URL of a database with these rows."""
    name = f"filtered_rows_{secrets.token_hex(4)}"
    url = create_database(stack, name, template=template_database)
    try:
        asyncio.run(add_dropped(url, rows(), orgs=ORGS))
        yield url
    finally:
        drop_database(stack, name)


@pytest.fixture(scope="module")
def ledger(filled: str) -> Iterator[tuple[asyncio.Runner, asyncpg.Connection, list[DeadLetterLine]]]:
    """A connection in a loop that outlives the examples, and every dropped event."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(filled))
        everything = DeadLetterFilter(dropped_reason=tuple(DroppedReason), disposition=None)
        lines = runner.run(read_lines(connection, everything, limit=2 * ROWS))
        yield runner, connection, lines
        runner.run(connection.close())


def some(values: list[object], least: int = 1) -> st.SearchStrategy[object]:
    named = [value for value in values if value is not None]
    return st.none() | st.lists(st.sampled_from(named), min_size=least, max_size=3).map(tuple)


FILTERS = st.fixed_dictionaries(
    {
        "dropped_reason": some(list(DroppedReason)) | st.just(tuple(DroppedReason)),
        "error_class": some(list(ErrorClass)),
        "site_id": some([0, *SITES]),
        "org_ids": some([10, 20, 30], least=0),
        "script_id": some([*SCRIPTS, "nobody"]),
        "sender": some(list(Sender)),
        "event_id": some([*EVENTS, "nothing"]),
        "provenance": some([str(place) for place in PLACES]),
        "attempt": some([1, 2, 3, 4, 5]),
        "since": st.none() | st.sampled_from(TIMES[:2]),
        "until": st.none() | st.sampled_from(TIMES[2:]),
        "text": st.none() | st.sampled_from(["SCRIPT", "àb", "Àb", "%", "_", "kelvin k", "i̇", "3\nAND"]),
        "disposition": some(list(Disposition)) | st.just((Disposition.OPEN,)),
    }
)


def test_the_rows_are_all_there(ledger: tuple[asyncio.Runner, asyncpg.Connection, list[DeadLetterLine]]) -> None:
    """All rows are read, with their site's organisation; otherwise the other tests would compare empty sets."""
    lines = ledger[2]
    assert len(lines) == ROWS
    assert {(line.site_id, line.org_id) for line in lines} == {(site, ORGS.get(site or 0)) for site in SITES}


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example({"disposition": (Disposition.OPEN,), "dropped_reason": (DroppedReason.DUPLICATE_EVENT_ID,)})
@example({"disposition": None})
@example({"disposition": None, "org_ids": ()})
@given(FILTERS)
def test_sql_and_predicate_agree(ledger, fields: dict[str, object]) -> None:  # type: ignore[no-untyped-def]  # as above
    """Both sides select the same rows, also for values with SQL's own signs."""
    runner, connection, lines = ledger
    chosen = DeadLetterFilter.model_validate(fields)
    found = runner.run(read_lines(connection, chosen, limit=2 * ROWS))
    assert found == [line for line in lines if selects(chosen, line)]


def test_a_group_s_key_finds_its_group(ledger) -> None:  # type: ignore[no-untyped-def]  # as above
    """The key selects exactly its group on both sides."""
    runner, connection, lines = ledger
    chosen = DeadLetterFilter(cause=(lines[0].cause,), disposition=None)
    found = runner.run(read_lines(connection, chosen, limit=2 * ROWS))
    assert found == [line for line in lines if selects(chosen, line)]
    assert {(one.dropped_reason, one.error_class) for one in found} == {(found[0].dropped_reason, found[0].error_class)}


def test_parameters_follow_the_statement_s_own() -> None:
    """The statement's text contains no value."""
    text, parameters = conditions(DeadLetterFilter(site_id=(7, 0), text="Robert'); --"), after=2)
    assert "Robert" not in text
    assert "l.site_id = $3::bigint OR l.site_id IS NULL" in text
    assert parameters == (7, "robert'); --", Disposition.OPEN)


@pytest.mark.parametrize("statement", ["SELECT 1", "a /* conditions */ true b /* conditions */ true"])
def test_a_statement_has_one_place_for_them(statement: str) -> None:
    """Any other number of marks is a defect."""
    with pytest.raises(InvariantViolation, match="must hold"):
        Conditions("x", ()).within(statement)


def test_as_it_stands_a_statement_means_everything() -> None:
    """The mark is a condition that is always true, so that the SQL files can be run unchanged."""
    names = ("dead_letters_page", "dead_letters_count", "dead_letters_groups")
    assert [sql(name).count("/* conditions */ true") for name in names] == [1, 1, 1]
