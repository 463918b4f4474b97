"""Classification of Postgres errors: the event's, the operation's, or a defect. Unknown ones are the operation's."""

import asyncio

import asyncpg

from schemas.errors import BridgeError, InvariantViolation, RowRejected, SinkUnavailable

_OF_THE_EVENT = ("21", "22", "54")
_OF_THE_EVENT_EXACT = frozenset({"23502", "23503", "23505"})
_LEDGER_KEY = "bridge_event_raw_pkey"

DATA_EXCEPTION = "22000"
TIMED_OUT = "57014"
LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK = "40P01"
KEPT = (LOCK_NOT_AVAILABLE, DEADLOCK)
"""Other sessions hold a lock that is needed."""
STATEMENT_OF_ANOTHER = ("26000", "42P05")
"""A prepared statement is missing or exists already: the session is not the connection's own."""
POOLED = (
    "Postgres is behind a pooler that gives a session to another connection after each transaction, and locks, "
    "LISTEN and SET need one that stays: set the pooler to session mode (PgBouncer: pool_mode = session) or connect "
    "past it"
)


def translate(error: Exception, doing: str) -> BridgeError:
    """Return the product's error for one that asyncpg or the socket raised while `doing` something.

    A lost connection or a bad character may have no SQLSTATE, so both class and SQLSTATE are checked.
    """
    sqlstate = getattr(error, "sqlstate", None)
    constraint = getattr(error, "constraint_name", None)
    said = POOLED if sqlstate in STATEMENT_OF_ANOTHER else str(error).strip() or "no further text"
    text = f"{doing}: {type(error).__name__}: {said}"
    if sqlstate is not None:
        text = f"{text} (SQLSTATE {sqlstate})"
        if constraint == _LEDGER_KEY:
            return InvariantViolation(f"a first attempt met a ledger row of its own provenance; {text}")
        if _is_row(sqlstate, constraint):
            return RowRejected(text, sqlstate=sqlstate)
    elif isinstance(error, UNENCODABLE):
        # The driver could not encode a value: an error of the event, without an answer from the server.
        return RowRejected(text, sqlstate=DATA_EXCEPTION)
    return SinkUnavailable(text, sqlstate=sqlstate)


def _is_row(sqlstate: str, constraint: str | None) -> bool:
    if sqlstate.startswith(_OF_THE_EVENT) or sqlstate in _OF_THE_EVENT_EXACT:
        return True
    # Without a constraint's name it is a missing partition, which is an error of the operation.
    return sqlstate == "23514" and bool(constraint)


UNENCODABLE = (asyncpg.DataError, ValueError, OverflowError)
"""Errors of the driver for a value that it can't encode; COPY raises the codecs' own errors."""

TRANSLATED = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # Postgres ended an idle session and its connection is not closed yet: the driver fails on its own state.
    asyncpg.InternalClientError,
    OSError,
    asyncio.TimeoutError,
)
"""Errors of the driver with causes outside this program."""
