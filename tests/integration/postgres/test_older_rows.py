"""Rows beyond a limit that the release before has written or still writes, and the limit for everybody once it is gone."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest
from support.infrastructure.accounts import GUARD, account, as_account, execute, value_of
from support.infrastructure.databases import as_admin, run_apart

from bridge.dev.stack import StackAddresses
from schemas.config.service import Service
from schemas.pipeline.record import Provenance
from schemas.pipeline.sender import Sender
from sinks.postgres.connection import connection
from sinks.postgres.identity.attribution import Attribution, attribute
from sinks.postgres.runs.history import note_begin
from sinks.postgres.statements import sql

WEEK = "UPDATE gateway_trust SET legacy_until = now() + interval '7 days'"
OVER = "UPDATE gateway_trust SET legacy_until = now()"
LATER = ("SET session_replication_role = replica", "RESET session_replication_role")
"""Statements for a superuser before and after a row as it was before the limits."""
PLACE = (["t"], [0], [0])


def bytes_of(size: int) -> str:
    """SQL for this many bytes."""
    return f"convert_to(repeat('x', {size}), 'UTF8')"


def text_of(size: int) -> str:
    """SQL for a text of this many bytes."""
    return f"repeat('x', {size})"


def place_of(size: int) -> str:
    """SQL for a provenance of this many bytes."""
    return f"repeat('x', {size - 4}) || ':0:0'"


DROPPED = {
    **dict.fromkeys(("headers", "payload", "record_key"), bytes_of(10_000_001)),
    **dict.fromkeys(("replay_digest", "former_replay_digest"), bytes_of(1001)),
    **dict.fromkeys(("replay_of", "replayed_as", "former_replayed_as"), place_of(1001)),
    **dict.fromkeys(("discarded_by", "sender"), text_of(1001)),
    **dict.fromkeys(("event_id", "last_error"), text_of(10_001)),
    "script_id": text_of(1025),
}
"""The limits of each row, each with a value beyond."""
WAITING = {
    "payload": bytes_of(65_537),
    "record_key": bytes_of(65_537),
    "headers": bytes_of(500_001),
    "retry_count": "1000000000",
}
"""Those of a waiting row."""


def row(values: dict[str, str], *, waits: bool = False) -> str:
    """Insert a row with these values, a dead letter or a waiting one."""
    columns = {
        "raw_topic": "'t'", "raw_partition": "0", "raw_offset": "0", "payload": "''", "error_class": "'x'",
        "last_error": "'x'", "received_at": "now()", "first_failed_at": "now()", "record_time": "now()",
        "retry_count": "1", "normalized": str(not waits), "next_retry_at": "now()" if waits else "NULL",
        "dropped_reason": "NULL" if waits else "'schema_violation'", "disposition": "NULL" if waits else "'open'",
    } | values  # fmt: skip
    return f"INSERT INTO bridge_event_raw ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"


@pytest.fixture
def database_url(stack: StackAddresses, database_url: str) -> str:
    """The superuser's URL, which creates the accounts."""
    return as_admin(stack, database_url)


@contextmanager
def account_of_before(url: str) -> Iterator[str]:
    """An account with the grants of the release before: on whole tables, and on none of this release."""
    name, password = f"t_before_{secrets.token_hex(4)}", secrets.token_hex(8)
    run_apart(
        execute(
            url,
            f"CREATE ROLE {name} LOGIN PASSWORD '{password}'",
            GUARD,
            f"GRANT SELECT, INSERT, UPDATE ON bridge_event_raw TO {name}",
        )
    )
    try:
        yield as_account(url, name, password)
    finally:
        run_apart(execute(url, f"DROP OWNED BY {name}", f"DROP ROLE {name}"))


async def refused(url: str, statement: str, limit: str) -> None:
    """Check that the limit refuses the statement, by an error without a value of the row."""
    with pytest.raises(asyncpg.CheckViolationError, match=limit) as raised:
        await execute(url, statement)
    assert "xxx" not in f"{raised.value.args} {raised.value.as_dict()}"


@pytest.mark.parametrize("column", DROPPED)
async def test_a_dead_letter_beyond_a_limit_is_changed_as_others(database_url: str, column: str) -> None:
    """It is attributed, claimed, let go and discarded."""
    plan = str(uuid4())
    columns = "replay_id, requested_by, filter, planned, state"
    made = (
        f"INSERT INTO replay ({columns}) VALUES ('{plan}', 'x', '{{}}', 1, 'running')",
        f"INSERT INTO replay_item VALUES ('{plan}', 1, 't', 0, 0, 'passes')",
    )
    await execute(database_url, LATER[0], row({column: DROPPED[column]}), LATER[1], *made)
    await note_begin(database_url, "mine", "dlq-discard", datetime.now(UTC))
    attribution = Attribution(Provenance("t", 0, 0), 7, "shop", "e", Sender.SERVER, "")
    async with connection(database_url, "test") as conn:
        attributed = await attribute(conn, [attribution])
        assert bool(attributed) == (column != "sender")
        await conn.execute("SELECT claim_dead_letters($1, $2, $3, $4, $5)", plan, *PLACE, [b"digest"])
        assert await conn.fetchval("SELECT let_go_dead_letters($1, $2, $3, $4)", plan, *PLACE) == 1
        assert await conn.fetchval(sql("dead_letters_discard"), *PLACE, "mine") == 1


@pytest.mark.parametrize("column", WAITING)
async def test_a_waiting_row_beyond_a_limit_is_retried(database_url: str, column: str) -> None:
    """It is swept, waits again, and ends as an event or as a dead letter, under the account of a worker."""
    await execute(database_url, LATER[0], row({column: WAITING[column]}, waits=True), LATER[1])
    now = datetime.now(UTC)
    count = int(str(await value_of(database_url, "SELECT retry_count FROM bridge_event_raw")))
    with account(database_url, Service.WORKER) as url:
        async with connection(url, "test") as conn:
            tried = [["x"], ["x"], ["server"], [7], ["shop"]]
            again = (*PLACE, [count], [now], tried[0], tried[1], [None], *tried[2:])
            ended = (*PLACE, [count], [None], tried[0], tried[1], ["retry_exhausted"], *tried[2:])
            done = [
                await conn.execute(sql("ledger_published"), *PLACE, [count], now),
                await conn.execute(sql("ledger_advance"), *again),
            ]
            for statement, values in (("ledger_heal", PLACE), ("ledger_advance", ended)):
                transaction = conn.transaction()
                await transaction.start()
                done.append(await conn.execute(sql(statement), *values))
                await transaction.rollback()
    assert done == ["UPDATE 1"] * 4


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("column", ["headers", "payload", "record_key"])
async def test_the_release_before_goes_on_while_it_is_replaced(database_url: str, column: str, waits: bool) -> None:
    """Its account writes what it wrote before, until its time is over, and an account with this release's grants does not."""
    made = row({column: (WAITING if waits else DROPPED)[column]}, waits=waits)
    limit = f"octet_length\\({column}\\) <= "
    with account_of_before(database_url) as before, account(database_url, Service.WORKER) as mine:
        await execute(database_url, WEEK)
        await refused(mine, made, limit)
        await execute(before, made)
        await execute(database_url, OVER, "DELETE FROM bridge_event_raw")
        for url in (before, mine, database_url):
            await refused(url, made, limit)


@pytest.mark.parametrize("column", ["script_id", "last_error", "retry_count"])
async def test_the_release_before_exceeds_no_other_limit(database_url: str, column: str) -> None:
    """It has limits of its own within the others."""
    values = DROPPED | WAITING
    with account_of_before(database_url) as before:
        await execute(database_url, WEEK)
        await refused(before, row({column: values[column]}, waits=True), column)


@pytest.mark.parametrize("column", DROPPED)
async def test_no_new_dead_letter_is_beyond_a_limit(database_url: str, column: str) -> None:
    """A worker's account inserts rows of every column."""
    with account(database_url, Service.WORKER) as url:
        await refused(url, row({column: DROPPED[column]}), f"INSERT of bridge_event_raw.*{column}")


@pytest.mark.parametrize("column", WAITING)
async def test_no_new_waiting_row_is_beyond_a_limit(database_url: str, column: str) -> None:
    """An insert and a change into a waiting row are refused alike; the dead letter with that value stays possible."""
    made = row({column: WAITING[column]})
    with account(database_url, Service.WORKER) as url:
        await refused(url, row({column: WAITING[column]}, waits=True), f"INSERT of bridge_event_raw.*{column}")
        await execute(url, made)
        waits = "UPDATE bridge_event_raw SET normalized = false, dropped_reason = NULL, disposition = NULL, next_retry_at = now()"
        await refused(url, waits, f"UPDATE of bridge_event_raw.*{column}")


async def test_an_update_to_another_value_beyond_a_limit_is_refused(database_url: str) -> None:
    """It is refused for a row that is beyond the limit already, too."""
    await execute(database_url, LATER[0], row({"last_error": text_of(10_001)}), LATER[1])
    with account(database_url, Service.WORKER) as url:
        await execute(url, "UPDATE bridge_event_raw SET last_error = last_error, updated_at = now()")
        await refused(url, "UPDATE bridge_event_raw SET last_error = last_error || 'x'", "last_error")
        await execute(url, "UPDATE bridge_event_raw SET last_error = 'x'")
        await refused(url, f"UPDATE bridge_event_raw SET last_error = {text_of(10_001)}", "last_error")
