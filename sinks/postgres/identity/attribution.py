"""Ledger rows without a sender class: read, attributed, and their gate windows adjusted."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from schemas.errors import PreconditionFailed
from schemas.pipeline.record import Provenance, RawBody
from schemas.pipeline.sender import Sender
from sinks.postgres.connection import Connection, connection
from sinks.postgres.ledger.rows import body, provenance_columns
from sinks.postgres.statements import sql
from sinks.windows import WindowKey, Windows, window_columns

BEGINNING = Provenance("", -1, -1)
"""The position before all rows."""


class Unattributed(NamedTuple):
    """A row without a class; `sender` makes it usable like other ledger rows."""

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
    """The identity found for a row; `note` is appended to its error."""

    provenance: Provenance
    site_id: int | None
    script_id: str | None
    event_id: str | None
    sender: Sender
    note: str = ""


class TrustState(NamedTuple):
    """The rule for headers without a proof, and the number of rows without a class."""

    legacy_until: datetime
    changed_by: str
    unattributed: int


async def read_unattributed(conn: Connection, after: Provenance, limit: int) -> list[Unattributed]:
    """Return the next rows after a position, in the order of their provenance."""
    rows = await conn.fetch(sql("ledger_unattributed"), *after, limit)
    return [
        Unattributed(
            Provenance(row["raw_topic"], row["raw_partition"], row["raw_offset"]), row["site_id"], row["script_id"],
            row["event_id"], body(row), row["record_time"], row["received_at"], row["retry_count"],
            row["dropped_reason"], row["replay_of"],
        )
        for row in rows
    ]  # fmt: skip


async def attribute(conn: Connection, found: Sequence[Attribution]) -> set[Provenance]:
    """Write the identities; return the rows that still had no sender class."""
    columns = [list(column) for column in zip(*(one[1:] for one in found), strict=True)]
    places = provenance_columns([one.provenance for one in found])
    rows = await conn.fetch(sql("ledger_attribute"), *places, *columns) if found else []
    return {Provenance(row["raw_topic"], row["raw_partition"], row["raw_offset"]) for row in rows}


async def read_windows(conn: Connection, keys: Sequence[WindowKey]) -> dict[WindowKey, list[int]]:
    """Return the counts of the windows that exist."""
    columns = [list(column) for column in zip(*keys, strict=True)]
    rows = await conn.fetch(sql("windows_read"), *columns) if keys else []
    return {WindowKey(*row[:5]): list(row[5:]) for row in map(tuple, rows)}


async def add_to_windows(conn: Connection, changes: Windows) -> None:
    """Add changes, possibly negative, to the windows, in the order in which workers add."""
    if changes:
        await conn.execute(sql("windows_add"), *window_columns(changes))


async def trust_state(dsn: str) -> TrustState:
    """Return the state of the rule; raises PreconditionFailed if the database has none."""
    async with connection(dsn, "identity") as conn:
        row = await conn.fetchrow(sql("gateway_trust_show"))
    if row is None:
        raise PreconditionFailed(
            "gateway_trust has no row: restore it from a backup, or insert one with legacy_until now()"
        )
    return TrustState(*row)


async def end_legacy(dsn: str, run_id: str) -> bool:
    """End the legacy period; return whether it had not ended before."""
    async with connection(dsn, "identity") as conn:
        done: str = await conn.execute(sql("gateway_trust_end"), run_id)
    return done.endswith(" 1")


def count_moved(moves: Mapping[WindowKey, list[int]]) -> int:
    """Return the number of counts that the changes move from one window to another."""
    return sum(count for counts in moves.values() for count in counts if count > 0)
