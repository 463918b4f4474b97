"""Ledger rows of dropped events as a commit writes them, without a stream that drops the events."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import asyncpg

from schemas.pipeline.record import Provenance
from schemas.reasons import DroppedReason, ErrorClass

DROPPED_AT = datetime.now(UTC).replace(microsecond=0)

_INSERT = """
INSERT INTO bridge_event_raw (
    raw_topic, raw_partition, raw_offset, dropped_reason, error_class, last_error, site_id, script_id, event_id,
    retry_count, outcome_at, updated_at, disposition, replay_of, replayed_as, replay_id, record_key, payload, headers,
    sender, received_at, record_time, first_failed_at, normalized
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10 - 1, $11, $11, $12, $13, $14, $15, $16, $17, $18, $19, $11, $11, $11, true)
"""
_ORGS = "INSERT INTO org (org_id) VALUES ($1) ON CONFLICT DO NOTHING"
_SITES = "INSERT INTO site (site_id, org_id) VALUES ($1, $2)"


class DroppedRow(NamedTuple):
    """One dropped event; by default an open dead letter of site 1."""

    provenance: Provenance
    dropped_reason: str = DroppedReason.SCHEMA_VIOLATION
    error_class: str = ErrorClass.SCHEMA_VIOLATION
    error: str = "event_type: String should have at least 1 character"
    site_id: int | None = 1
    script_id: str | None = "s1"
    event_id: str | None = "e-1"
    attempt: int = 1
    dropped_at: datetime = DROPPED_AT
    disposition: str | None = "open"
    replay_of: str | None = None
    replayed_as: str | None = None
    replay_id: str | None = None
    key: bytes | None = b"1:e-1"
    payload: bytes | None = b'{"event_id": "e-1"}'
    headers: bytes | None = None
    sender: str | None = None
    org_id: int | None = None  # not a column of the ledger: the registry has it
    cause: str | None = None  # Postgres makes it


def dropped(offset: int, **changed: object) -> DroppedRow:
    """Make the row of this offset of partition 0."""
    return DroppedRow(Provenance("bridge.raw", 0, offset))._replace(**changed)  # type: ignore[arg-type]  # by name


async def add_dropped(dsn: str, rows: Sequence[DroppedRow], *, orgs: dict[int, int] | None = None) -> None:
    """Insert the rows, and the sites of the organisations in `orgs`."""
    connection = await asyncpg.connect(dsn)
    try:
        for site, org in (orgs or {}).items():
            await connection.execute(_ORGS, org)
            await connection.execute(_SITES, site, org)
        await connection.executemany(_INSERT, [(*row.provenance, *row[1:-2]) for row in rows])
    finally:
        await connection.close()
