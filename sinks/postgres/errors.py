"""Classification of Postgres errors by their cause: an event's content, the server or its operation, or this program.

Unknown errors count as caused by the server or its operation.
"""

import asyncio

import asyncpg

from schemas.errors import BridgeError, InvariantViolation, RowRejected, SinkUnavailable

_OF_THE_EVENT = ("21", "22", "54")
_OF_THE_EVENT_EXACT = frozenset({"23502", "23503", "23505"})
_LEDGER_KEY = "bridge_event_raw_pkey"

DATA_EXCEPTION = "22000"
NO_MONTH = "23514"
"""The SQLSTATE of a failed check, and without a constraint's name that of a row whose month has no partition."""
TIMED_OUT = "57014"
LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK = "40P01"
KEPT = (LOCK_NOT_AVAILABLE, DEADLOCK)
"""SQLSTATEs of errors because another session holds a lock that is needed."""
STATEMENT_OF_ANOTHER = ("26000", "42P05")
"""SQLSTATEs for a prepared statement that is missing or exists already: the session belongs to several connections."""
POOLED = (
    "Postgres is behind a pooler that gives a session to another connection after each transaction, but locks, "
    "LISTEN and SET need the same session throughout: set the pooler to session mode (PgBouncer: pool_mode = session) or connect "
    "past it"
)


def translate(error: Exception, doing: str) -> BridgeError:
    """Return the product's error for an error that asyncpg or the socket raised.

    `doing` names the operation, for the message. An error for a lost connection or a bad character may have no
    SQLSTATE, so the error's class is checked as well as its SQLSTATE.
    """
    sqlstate = getattr(error, "sqlstate", None)
    constraint = getattr(error, "constraint_name", None)
    said = POOLED if sqlstate in STATEMENT_OF_ANOTHER else str(error).strip() or "no further text"
    text = f"{doing}: {type(error).__name__}: {said}"
    if sqlstate is not None:
        text = f"{text} (SQLSTATE {sqlstate})"
        if constraint == _LEDGER_KEY:
            return InvariantViolation(
                f"a first attempt met a ledger row of its own provenance, which only a defect can cause; {text}"
            )
        if _is_row(sqlstate, constraint):
            return RowRejected(text, sqlstate=sqlstate)
    elif isinstance(error, UNENCODABLE):
        # The driver could not encode a value. The event is at fault, although the server sent no answer.
        return RowRejected(text, sqlstate=DATA_EXCEPTION)
    return SinkUnavailable(text, sqlstate=sqlstate)


def lacks_month(error: Exception) -> bool:
    """Return whether Postgres has no partition for a row's month. The error does not name the row."""
    sqlstate, constraint = getattr(error, "sqlstate", None), getattr(error, "constraint_name", None)
    return sqlstate == NO_MONTH and not constraint


def _is_row(sqlstate: str, constraint: str | None) -> bool:
    if sqlstate.startswith(_OF_THE_EVENT) or sqlstate in _OF_THE_EVENT_EXACT:
        return True
    # An error without a constraint's name means a missing partition, for which the event is not at fault.
    return sqlstate == NO_MONTH and bool(constraint)


UNENCODABLE = (asyncpg.DataError, ValueError, OverflowError)
"""The driver's errors for a value that it can't encode. COPY raises the errors of Python's codecs instead."""

TRANSLATED = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # Postgres has ended an idle session, and the connection is not closed yet: the driver raises this about its own
    # state.
    asyncpg.InternalClientError,
    OSError,
    asyncio.TimeoutError,
)
"""The errors of asyncpg and sockets whose causes lie outside this program."""
