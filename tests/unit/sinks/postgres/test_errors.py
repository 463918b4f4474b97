"""RULES, "Errors from Postgres": each error is attributed to the event or to the operation."""

import asyncpg
import pytest

from schemas.errors import InvariantViolation, RowRejected, SinkUnavailable
from sinks.postgres.errors import translate


def postgres_error(sqlstate: str, constraint: str | None = None) -> asyncpg.PostgresError:
    fields = {"S": "ERROR", "C": sqlstate, "M": "what happened"}
    if constraint is not None:
        fields["n"] = constraint
    return asyncpg.PostgresError.new(fields)


OF_THE_EVENT = [
    "21000", "22000", "22001", "22003", "22007", "22008", "22021", "22P02", "22P05", "23502", "23503", "23505", "54000",
    "54001", "54011",
]  # fmt: skip
OF_THE_OPERATION = [
    "08000", "08006", "53000", "53100", "53200", "53300", "57000", "57014", "57P01", "57P02", "57P03", "58000", "58030",
    "XX000", "XX001", "XX002", "25006", "25P03", "40001", "40P01", "55P03", "42501", "23514", "23000", "23001", "42P01",
    "42703", "0A000", "28000", "3D000", "F0000", "55000", "P0001", "99999",
]  # fmt: skip


@pytest.mark.parametrize("sqlstate", OF_THE_EVENT)
def test_errors_of_the_event(sqlstate: str) -> None:
    """The batch is bisected until the row is alone."""
    error = translate(postgres_error(sqlstate), "writing events")
    assert isinstance(error, RowRejected)
    assert error.sqlstate == sqlstate
    assert f"SQLSTATE {sqlstate}" in str(error)
    assert "what happened" in str(error)


@pytest.mark.parametrize("sqlstate", OF_THE_OPERATION)
def test_errors_of_the_operation(sqlstate: str) -> None:
    """The partition pauses and retries in place, for unknown errors too."""
    error = translate(postgres_error(sqlstate), "settling")
    assert isinstance(error, SinkUnavailable)
    assert error.sqlstate == sqlstate


def test_a_check_with_a_name_is_of_the_event_and_without_one_is_a_missing_partition() -> None:
    """23514 is used for both; only a constraint has a name."""
    assert isinstance(translate(postgres_error("23514", "no_refused"), "x"), RowRejected)
    assert isinstance(translate(postgres_error("23514"), "x"), SinkUnavailable)


def test_the_ledgers_own_key_is_a_defect() -> None:
    """A first attempt met a ledger row of its own provenance; another table's key is the event's error."""
    assert isinstance(translate(postgres_error("23505", "bridge_event_raw_pkey"), "x"), InvariantViolation)
    assert isinstance(translate(postgres_error("23505", "another_key"), "x"), RowRejected)


@pytest.mark.parametrize(
    "error",
    [OSError("refused"), ConnectionResetError(), TimeoutError(), asyncpg.InterfaceError("closed"),
     asyncpg.ConnectionDoesNotExistError("lost"), asyncpg.TooManyConnectionsError("full")],
)  # fmt: skip
def test_a_lost_connection_is_of_the_operation(error: Exception) -> None:
    """The SQLSTATE may be missing."""
    assert isinstance(translate(error, "settling"), SinkUnavailable)


@pytest.mark.parametrize(
    "error",
    [asyncpg.DataError("invalid input"), ValueError("out of range"), OverflowError("int too big"),
     UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")],
)  # fmt: skip
def test_what_cannot_be_put_on_the_wire_is_of_the_event(error: Exception) -> None:
    """COPY's codecs raise these errors before the server answers."""
    assert isinstance(translate(error, "writing events"), RowRejected)


def test_the_message_says_what_was_being_done() -> None:
    """The message is never empty, even if the driver's is."""
    assert str(translate(OSError(), "reading offsets")) == "reading offsets: OSError: no further text"
