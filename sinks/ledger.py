"""The ledger's rows as values, and how headers are kept whole."""

import base64
from typing import Any, Final

import asyncpg
import msgspec

from schemas.headers import ERROR_TEXT_BYTES, Headers, bounded_text
from schemas.instants import instant
from schemas.ledger import LedgerState, Waiting
from schemas.outcome import Failure
from schemas.reasons import DroppedReason
from schemas.record import Provenance, RawBody
from schemas.sender import Sender


def state_of(row: "asyncpg.Record") -> LedgerState:
    """The state in a row of `ledger_lock`."""
    return LedgerState(
        row["retry_count"],
        row["normalized"],
        row["received_at"],
        row["first_failed_at"],
        row["disposition"],
        row["replay_id"],
        row["replayed_as"],
        row["replay_of"],
        sender=None if row["sender"] is None else Sender(row["sender"]),
        site_id=row["site_id"],
        script_id=row["script_id"],
        replay_digest=row["replay_digest"],
    )


def state_and_body(row: "asyncpg.Record") -> LedgerState:
    """The state in a row of `ledger_read`, with the body of what waits."""
    state = state_of(row)
    return state if state.finished else state._replace(body=body(row))


def body(row: "asyncpg.Record") -> RawBody:
    """The body in a row that has its three columns."""
    headers = row["headers"]
    return RawBody(row["record_key"], row["payload"], () if headers is None else decode_headers(headers))


def waiting(row: "asyncpg.Record") -> Waiting:
    """The waiting raw event in a row of `ledger_due`."""
    return Waiting(
        Provenance(row["raw_topic"], row["raw_partition"], row["raw_offset"]),
        row["site_id"],
        row["retry_count"] + 1,
        body(row),
        row["received_at"],
        row["first_failed_at"],
        row["error_class"],
        row["last_error"],
    )


def encode_headers(headers: Headers) -> bytes:
    """Ordered headers, byte for byte, as JSON: a list of [name, base64 or null]."""
    return msgspec.json.encode(
        [[name, None if value is None else base64.b64encode(value).decode()] for name, value in headers]
    )


def decode_headers(stored: bytes) -> list[tuple[str, bytes | None]]:
    """The headers that `encode_headers` kept."""
    pairs: list[tuple[str, str | None]] = msgspec.json.decode(stored, type=list[tuple[str, str | None]])
    return [(name, None if value is None else base64.b64decode(value)) for name, value in pairs]


COLUMNS = (
    "raw_topic", "raw_partition", "raw_offset", "site_id", "script_id", "event_id", "record_key", "payload",
    "headers", "record_time", "received_at", "retry_count", "next_retry_at", "first_failed_at", "last_error",
    "error_class", "normalized", "dropped_reason", "disposition", "replay_of", "sender",
)  # fmt: skip


_MOST_KEPT: Final = 1024 * 1024
"""A longer value is no event in any form, and 100 KB of it in Kafka may be 60 MB."""
_KEPT_OF_VALUE: Final = 64 * 1024


def row(failure: Failure) -> tuple[Any, ...]:
    """The ledger's row of a first attempt that failed, in the order of COLUMNS.

    A duplicate keeps no payload: there is nothing to replay. Of a value of more than 1 MiB the beginning is kept, and the
    error says of how many bytes. Key and headers, however long, may be those of an event that is replayed.
    """
    record, dropped, error = failure.record, failure.dropped_reason, bounded_text(failure.error)
    kept = RawBody(record.key, record.value, record.headers)
    if dropped is DroppedReason.DUPLICATE_EVENT_ID:
        kept = RawBody(None, None, ())
    elif dropped is not None and record.value is not None and len(record.value) > _MOST_KEPT:
        kept = kept._replace(value=record.value[:_KEPT_OF_VALUE])
        note = f"; {_KEPT_OF_VALUE} of {len(record.value)} bytes of its value are kept"
        error = bounded_text(error, ERROR_TEXT_BYTES - len(note)) + note
    return (
        *failure.provenance,
        failure.site_id,
        _text(failure.script_id),
        _text(failure.event_id),
        kept.key,
        kept.value,
        encode_headers(kept.headers) if kept.headers else None,
        instant(max(record.timestamp, 0)),
        instant(failure.received_at_ms),
        0 if dropped else 1,
        None if failure.due_at_ms is None else instant(failure.due_at_ms),
        instant(failure.first_failed_at_ms),
        error,
        failure.error_class.value,
        dropped is not None,
        None if dropped is None else dropped.value,
        "open" if failure.has_dead_letter else None,
        None if failure.replay is None else str(failure.replay.replay_of),
        failure.sender,
    )


def _text(text: str | None) -> str | None:
    return None if text is None else bounded_text(text)


def provenance_columns(provenances: list[Provenance]) -> tuple[list[str], list[int], list[int]]:
    """The three arrays that the ledger's statements take."""
    return [p.topic for p in provenances], [p.partition for p in provenances], [p.offset for p in provenances]
