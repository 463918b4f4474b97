"""Whose fault a Postgres error is: the event's, the operation's, or ours. Everything unknown is the operation's."""

import asyncio

import asyncpg

from schemas.errors import BridgeError, Defect, RowRejected, SinkUnavailable

_OF_THE_EVENT = ("21", "22", "54")
_OF_THE_EVENT_EXACT = frozenset({"23502", "23503", "23505"})
_LEDGER_KEY = "bridge_event_raw_pkey"

DATA_EXCEPTION = "22000"
TIMED_OUT = "57014"
LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK = "40P01"
KEPT = (LOCK_NOT_AVAILABLE, DEADLOCK)
"""Other sessions keep what is waited for."""
STATEMENT_OF_ANOTHER = ("26000", "42P05")
"""A prepared statement is missing or was there before: the session is not the connection's own."""
POOLED = (
    "Postgres is behind a pooler that gives a session to another connection after each transaction, and locks, "
    "LISTEN and SET need one that stays: set the pooler to session mode (PgBouncer: pool_mode = session) or connect "
    "past it"
)


def translate(error: Exception, doing: str) -> BridgeError:
    """The error of our own tree for what asyncpg or the socket raised while `doing` something.

    A lost connection or a bad character may carry no SQLSTATE, so class and SQLSTATE are looked at together.
    """
    sqlstate = getattr(error, "sqlstate", None)
    constraint = getattr(error, "constraint_name", None)
    said = POOLED if sqlstate in STATEMENT_OF_ANOTHER else str(error).strip() or "no further text"
    text = f"{doing}: {type(error).__name__}: {said}"
    if sqlstate is not None:
        text = f"{text} (SQLSTATE {sqlstate})"
        if constraint == _LEDGER_KEY:
            return Defect(f"a first attempt met a ledger row of its own provenance; {text}")
        if _is_row(sqlstate, constraint):
            return RowRejected(text, sqlstate=sqlstate)
    elif isinstance(error, UNENCODABLE):
        # The driver could not even encode a value: of the event, without a word from the server.
        return RowRejected(text, sqlstate=DATA_EXCEPTION)
    return SinkUnavailable(text, sqlstate=sqlstate)


def _is_row(sqlstate: str, constraint: str | None) -> bool:
    if sqlstate.startswith(_OF_THE_EVENT) or sqlstate in _OF_THE_EVENT_EXACT:
        return True
    # Without a constraint's name it is a missing partition, and that is the operation's.
    return sqlstate == "23514" and bool(constraint)


UNENCODABLE = (asyncpg.DataError, ValueError, OverflowError)
"""What the driver raises for a value that it can't put on the wire; COPY lets the codecs' own errors through."""

TRANSLATED = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # Postgres ended an idle session and its connection is not closed yet: the driver trips over its own state.
    asyncpg.InternalClientError,
    OSError,
    asyncio.TimeoutError,
)
"""What the driver raises for reasons outside this program."""
