"""Rows that Postgres refuses: a dry run fails as the run does, and no error has a value of the row."""

import asyncio
import json
import traceback
from typing import Any

import pytest
from support.events.dead_letters import add_dropped, dropped
from support.events.settled import environment_of, fetch
from support.processes.command import words
from support.processes.hook import listening
from support.processes.programs import run

from schemas.config.settings import Settings
from schemas.errors import SinkUnavailable
from sinks.postgres.connection import connection
from sinks.postgres.errors import TRANSLATED, UNENCODABLE, translate

SECRET = "4711SECRET"
LARGE = 10_000_001
REFUSING = "ALTER TABLE bridge_event_raw ADD CONSTRAINT no_class CHECK (sender IS NULL) NOT VALID"
STATEMENTS = {
    "23514": f"INSERT INTO script_run (run_id, script, started_by, started_at) VALUES ('{SECRET}', 'No', 'x', now())",
    "23502": f"INSERT INTO script_run (run_id, script) VALUES ('{SECRET}', NULL)",
    "23505": f"INSERT INTO org (org_id) VALUES (4711), (4711) -- {SECRET}",
    "22P02": f"SELECT '{SECRET}'::text::int",
    "22007": f"SELECT '{SECRET}'::text::timestamptz",
    "22P05": f"SELECT '{{\"a\": \"{SECRET}\\u0000\"}}'::text::jsonb ->> 'a'",
}


def parts(error: BaseException) -> str:
    """All texts of the error and its causes that a log or a report could have."""
    cause = error.__cause__
    fields = getattr(cause, "__dict__", {})
    shown = {name: text for name, text in fields.items() if name not in ("query", "internal_query")}
    return f"{error} {error!r} {cause!r} {shown} {''.join(traceback.format_exception(error))}"


@pytest.mark.parametrize("sqlstate", STATEMENTS)
async def test_no_text_of_an_error_has_a_value_of_the_row(settings: Settings, sqlstate: str) -> None:
    """Neither its message, nor its causes with their details and contexts."""
    statement = STATEMENTS[sqlstate]
    with pytest.raises(Exception, match=f"SQLSTATE {sqlstate}") as raised:
        await fetch_translated(settings, statement)
    text = parts(raised.value)
    assert SECRET not in text.replace(statement, "")
    assert "(4711)" not in text


async def fetch_translated(settings: Settings, statement: str) -> None:
    async with connection(settings.dsn, "test") as conn:
        await conn.execute(statement)


async def test_no_line_of_a_copy_is_in_an_error(settings: Settings) -> None:
    """Postgres has the whole line in the context."""
    async with connection(settings.dsn, "test") as conn:
        with pytest.raises(TRANSLATED) as raised:
            await conn.copy_to_table("org", source=iter_of(f"{SECRET}\n".encode()), columns=["org_id"], format="text")
    problem = translate(raised.value, "writing")
    problem.__cause__ = raised.value
    assert SECRET not in parts(problem)
    assert "22P02" in str(problem)


@pytest.mark.parametrize("value", [SECRET, f"{SECRET}\ud800 (4711)"])
async def test_no_value_that_the_driver_can_t_encode_is_in_an_error(settings: Settings, value: str) -> None:
    """A text for a number, and a text that UTF-8 can't encode."""
    kind = "int" if value == SECRET else "text"
    async with connection(settings.dsn, "test") as conn:
        with pytest.raises(UNENCODABLE) as raised:
            await conn.fetch(f"SELECT $1::{kind}", value)
    problem = translate(raised.value, "writing")
    problem.__cause__ = raised.value
    assert SECRET not in parts(problem)
    assert "query argument $1 (" in str(problem)


async def iter_of(part: bytes) -> Any:
    yield part


async def test_what_names_no_row_stays_in_an_error(settings: Settings) -> None:
    """A detail of locks or dependencies, and a refused setting, are for the operator."""
    with pytest.raises(SinkUnavailable, match=r"DETAIL.*depends on"):
        await fetch_translated(settings, "DROP TABLE replay")
    with pytest.raises(Exception, match=r'"statement_timeout": "soon"'):
        await fetch_translated(settings, "SET statement_timeout = 'soon'")


async def test_a_dry_run_fails_where_the_run_fails(settings: Settings) -> None:
    """Both have the same error, without values of the row, on the terminal, in the history and in the webhook."""
    await add_dropped(settings.dsn, [dropped(0, payload=SECRET.encode(), event_id=SECRET)])
    await fetch(settings, REFUSING)
    said = []
    async with listening(lambda _number: 200) as (url, calls):
        given = environment_of(settings, BRIDGE_WORKER_ALERT_WEBHOOK=url)
        for extra in (["--dry-run"], []):
            command = words("identity", "backfill", *extra, "--json-output", "-")
            done = await asyncio.to_thread(run, command, changed=given)
            assert done.returncode != 0
            assert "no_class" in done.stdout
            said.append(f"{done.stdout} {done.stderr}")
    (history,) = await fetch(settings, "SELECT summary::text FROM script_run WHERE script = 'identity-backfill'")
    told = [body.decode() for _, body in calls]
    assert "no_class" in history[0]
    assert "no_class" in told[0]
    for text in (*said, history[0], *told):
        assert SECRET not in text
        assert "Failing row" not in text


async def test_rows_beyond_a_limit_are_backfilled_and_discarded(settings: Settings) -> None:
    """A dry run reports what the run does, and changes nothing."""
    await fetch(settings, "UPDATE gateway_trust SET legacy_until = now() + interval '7 days'")
    await add_dropped(settings.dsn, [dropped(0, payload=b"x" * LARGE), dropped(1)])
    await fetch(settings, "UPDATE gateway_trust SET legacy_until = now()")
    for extra, left in ((["--dry-run"], 2), ([], 0)):
        command = words("identity", "backfill", *extra, "--json-output", "-")
        done = await asyncio.to_thread(run, command, changed=environment_of(settings))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["by_sender"] == {"direct": 2}
        rows = await fetch(settings, "SELECT FROM bridge_event_raw WHERE sender IS NULL")
        assert len(rows) == left
    command = words("dlq", "discard", "--all", "--reason", "no event", "--yes", "--json-output", "-")
    done = await asyncio.to_thread(run, command, changed=environment_of(settings))
    assert done.returncode == 0, done.stderr
    assert await fetch(settings, "SELECT FROM bridge_event_raw WHERE disposition <> 'discarded'") == []
