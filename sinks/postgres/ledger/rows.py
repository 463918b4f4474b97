"""Conversion of rows of the ledger (the table of failed events) to values and back, and the encoding of headers."""

import base64
from typing import Any, Final

import asyncpg
import msgspec

from schemas.instants import instant
from schemas.kafka.headers import ERROR_TEXT_BYTES, MOST_HEADERS, Headers, bounded_text, length_beside_value
from schemas.pipeline.ledger import LedgerState, Waiting
from schemas.pipeline.outcome import Failure
from schemas.pipeline.record import Provenance, RawBody
from schemas.pipeline.sender import sender_named
from schemas.reasons import DroppedReason
from sinks.postgres.kept_json import SHOWN, UNREADABLE
from sinks.postgres.records import named, provenance_of


def state_of(row: "asyncpg.Record") -> LedgerState:
    """Convert a row of the query `ledger_lock` to the state of a failed event."""
    return LedgerState(
        row["retry_count"],
        row["normalized"],
        row["received_at"],
        row["first_failed_at"],
        row["disposition"],
        row["replay_id"],
        row["replayed_as"],
        _place(row["replay_of"]),
        sender=sender_named(row["sender"]),
        site_id=row["site_id"],
        script_id=row["script_id"],
        replay_digest=row["replay_digest"],
    )


def _place(text: str | None) -> str | None:
    """Parse the provenance (topic, partition, offset) in a ledger row's text; None if the text is not a provenance.

    A text that is not a provenance was not written by a replay.
    """
    try:
        return text and str(Provenance.parse(text))
    except ValueError:
        return None


def state_and_body(row: "asyncpg.Record") -> LedgerState:
    """Convert a row of the query `ledger_read` to the event's state; with the body if the event waits for a retry."""
    state = state_of(row)
    return state if state.finished else state._replace(body=body(row))


def body(row: "asyncpg.Record") -> RawBody:
    """Return the raw record's body (key, value, headers) from a row that has the columns for these parts."""
    headers = row["headers"]
    return RawBody(row["record_key"], row["payload"], () if headers is None else decode_headers(headers))


def waiting(row: "asyncpg.Record") -> Waiting:
    """Convert a row of the query `ledger_due` to an event that waits for a retry."""
    place, attempt = provenance_of(row), row["retry_count"] + 1
    return named(Waiting, row, provenance=place, attempt=attempt, body=body(row), error=row["last_error"])


def encode_headers(headers: Headers) -> bytes:
    """Encode headers as JSON, in order and byte for byte: a list of [name, base64 or null]."""
    return msgspec.json.encode(
        [[name, None if value is None else base64.b64encode(value).decode()] for name, value in headers]
    )


def decode_headers(stored: bytes) -> list[tuple[str, bytes | None]]:
    """Decode the output of `encode_headers`. Any other text is returned as one header named `unreadable`."""
    try:
        pairs: list[tuple[str, str | None]] = msgspec.json.decode(stored, type=list[tuple[str, str | None]])
        return [(name, None if value is None else base64.b64decode(value)) for name, value in pairs]
    except (msgspec.MsgspecError, ValueError):
        return [(UNREADABLE, stored[:SHOWN])]


COLUMNS = (
    "raw_topic", "raw_partition", "raw_offset", "site_id", "script_id", "event_id", "record_key", "payload",
    "headers", "record_time", "received_at", "retry_count", "next_retry_at", "first_failed_at", "last_error",
    "error_class", "normalized", "dropped_reason", "disposition", "replay_of", "sender",
)  # fmt: skip


_MOST_KEPT: Final = 1024 * 1024
"""Up to this size in bytes, a value is stored whole, and so are key and headers together. An event is never larger.

Without this limit, 100 KB in Kafka may become 60 MB.
"""
_BEGINNING: Final = 64 * 1024


def _kept(body: RawBody) -> tuple[RawBody, str]:
    """Return the part of a failed event's body that the ledger stores, and a note about the omitted parts."""
    note = ""
    key, value, headers = body
    if value is not None and len(value) > _MOST_KEPT:
        note = f"; only the first {_BEGINNING} of {len(value)} bytes of its value are kept"
        value = value[:_BEGINNING]
    beside = ""
    if len(headers) > MOST_HEADERS:
        # The reader of the record stops counting at this number.
        beside = f"key and more than {MOST_HEADERS} headers"
    elif (size := length_beside_value(key, headers)) > _MOST_KEPT:
        beside = f"key and headers, {size} bytes and {len(headers)} headers,"
    if beside:
        note += f"; of {beside} only the beginning is kept"
        key, headers = key and key[:_BEGINNING], _beginning(headers)
    return RawBody(key, value, headers), note


def _beginning(headers: Headers) -> Headers:
    kept, left = [], _BEGINNING
    for name, value in headers[:MOST_HEADERS]:
        if len(name) > left:
            break
        left -= len(name)
        kept.append((name, value and value[:left]))
        left -= len(value or b"")
        if left <= 0:
            break
    return kept


def row(failure: Failure) -> tuple[Any, ...]:
    """Return the ledger's row for an event whose first attempt failed, with the values in the order of COLUMNS.

    A duplicate is stored without payload, because it is never replayed. Of a value of more than 1 MiB only the
    beginning is stored. Of key and headers only the beginning is stored if they have more than 1 MiB together, or if
    there are more than 1,024 headers. If parts are cut, the error text in the row states the whole sizes.
    """
    attempt, record, dropped = failure.attempt, failure.attempt.record, failure.dropped_reason
    error = bounded_text(failure.error)
    kept = RawBody(record.key, record.value, record.headers)
    if dropped is DroppedReason.DUPLICATE_EVENT_ID:
        kept = RawBody(None, None, ())
    elif dropped is not None:
        kept, note = _kept(kept)
        if note:
            error = bounded_text(error, ERROR_TEXT_BYTES - len(note)) + note
    return (
        *attempt.provenance,
        failure.site_id,
        _text(failure.script_id),
        _text(failure.event_id),
        kept.key,
        kept.value,
        encode_headers(kept.headers) if kept.headers else None,
        instant(max(record.timestamp, 0)),
        attempt.received_at,
        0 if dropped else 1,
        None if failure.due_at_ms is None else instant(failure.due_at_ms),
        instant(attempt.first_failed_at_ms),
        error,
        failure.error_class.value,
        dropped is not None,
        None if dropped is None else dropped.value,
        "open" if failure.has_dead_letter else None,
        None if attempt.replay is None else str(attempt.replay.replay_of),
        failure.sender,
    )


def _text(text: str | None) -> str | None:
    return None if text is None else bounded_text(text)


def provenance_columns(provenances: list[Provenance]) -> tuple[list[str], list[int], list[int]]:
    """Return provenances as arrays of topics, partitions and offsets, the parameters of many SQL statements."""
    return [p.topic for p in provenances], [p.partition for p in provenances], [p.offset for p in provenances]
