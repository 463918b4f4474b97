"""Rows of failed events without a sender class (visitor, server or direct), which get one now.

Events of older gateways have no sender class. `bridge identity backfill` adds the sender's identity to their rows in
the ledger (the table of failed events), and moves their counts to the gate windows (counts by minute) of their sites.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from schemas.errors import PreconditionFailed
from schemas.pipeline.record import Provenance, RawBody
from schemas.pipeline.sender import Sender
from sinks.postgres.connection import Connection, connection, fetch
from sinks.postgres.ledger.rows import body, provenance_columns
from sinks.postgres.records import named, provenance_of
from sinks.postgres.statements import sql
from sinks.windows import WindowKey

BEGINNING = Provenance("", -1, -1)
"""The cursor before the first row."""


class Unattributed(NamedTuple):
    """A row of the ledger (the table of failed events) that has no sender class (visitor, server or direct).

    `sender` exists only because code that also handles rows with a class reads it.
    """

    provenance: Provenance
    site_id: int | None
    script_id: str | None
    event_id: str | None
    body: RawBody
    record_time: datetime
    received_at: datetime
    retry_count: int
    dropped_reason: str | None
    replay_of: str | None
    sender: None = None


class Attribution(NamedTuple):
    """The sender's identity that a failed event's row gets. `note` is appended to the error text in the row."""

    provenance: Provenance
    site_id: int | None
    script_id: str | None
    event_id: str | None
    sender: Sender
    note: str = ""


class TrustState(NamedTuple):
    """Until when gateway headers without a signature are trusted, and the number of rows without a sender class."""

    legacy_until: datetime
    changed_by: str
    unattributed: int


async def read_unattributed(conn: Connection, after: Provenance, limit: int) -> list[Unattributed]:
    """Return the next `limit` rows of failed events without a sender class, after the provenance `after`.

    Rows are ordered by provenance: topic, partition and offset of the raw record.
    """
    rows = await conn.fetch(sql("ledger_unattributed"), *after, limit)
    return [named(Unattributed, row, provenance=provenance_of(row), body=body(row), sender=None) for row in rows]


async def attribute(conn: Connection, found: Sequence[Attribution]) -> set[Provenance]:
    """Write the senders' identities to the rows of failed events that still have no sender class.

    Return the provenances (topic, partition and offset of the raw record) of the changed rows.
    """
    columns = [list(column) for column in zip(*(one[1:] for one in found), strict=True)]
    places = provenance_columns([one.provenance for one in found])
    rows = await conn.fetch(sql("ledger_attribute"), *places, *columns) if found else []
    return {provenance_of(row) for row in rows}


async def read_windows(conn: Connection, keys: Sequence[WindowKey]) -> dict[WindowKey, list[int]]:
    """Return the counts in the gate windows (rows with counts of one minute) of these keys, if they exist."""
    columns = [list(column) for column in zip(*keys, strict=True)]
    rows = await conn.fetch(sql("windows_read"), *columns) if keys else []
    return {WindowKey(*row[:5]): list(row[5:]) for row in map(tuple, rows)}


async def trust_state(dsn: str) -> TrustState:
    """Return until when unsigned gateway headers are trusted; raises PreconditionFailed if the row is missing."""
    rows = await fetch(dsn, "identity", sql("gateway_trust_show"))
    if not rows:
        raise PreconditionFailed(
            "the table gateway_trust is empty: restore its row from a backup, or insert a row with legacy_until now()"
        )
    return TrustState(*rows[0])


async def end_legacy(dsn: str, run_id: str) -> bool:
    """End the period in which gateway headers without a signature are trusted; return whether this call ended it."""
    async with connection(dsn, "identity") as conn:
        done: str = await conn.execute(sql("gateway_trust_end"), run_id)
    return done.endswith(" 1")
