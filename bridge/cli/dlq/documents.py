"""Dead letters as documents: what `--json-output` and `export` write, byte for byte where it is a producer's."""

import base64
from datetime import datetime
from typing import Any

from sinks.dead_letters.letter import DeadLetterLine, WholeDeadLetter

UTF_8, BASE64 = "utf-8", "base64"


def line_document(line: DeadLetterLine) -> dict[str, Any]:
    """What a list knows of a dead letter."""
    return line._asdict() | {"provenance": str(line.provenance), "dropped_at": moment_text(line.dropped_at)}


def letter_document(letter: WholeDeadLetter) -> dict[str, Any]:
    """All of it. Each of key, payload and header values stands beside the encoding in which it is written."""
    key, key_encoding = encoded(letter.body.key)
    payload, payload_encoding = encoded(letter.body.value)
    return line_document(letter.line) | {
        "received_at": moment_text(letter.received_at),
        "record_time": moment_text(letter.record_time),
        "first_failed_at": moment_text(letter.first_failed_at),
        "changed_at": moment_text(letter.changed_at),
        "replay_id": letter.replay_id,
        "discarded_by": letter.discarded_by,
        "key": key,
        "key_encoding": key_encoding,
        "payload": payload,
        "payload_encoding": payload_encoding,
        "headers": [dict(zip(("name", "value", "encoding"), (name, *encoded(value)), strict=True))
                    for name, value in letter.body.headers],
    }  # fmt: skip


def moment_text(at: datetime) -> str:
    """RFC 3339 in UTC, as exact as Postgres keeps it."""
    return at.isoformat()


def encoded(raw: bytes | None) -> tuple[str | None, str | None]:
    """Bytes as text, and how: as they are where they are UTF-8 without a NUL, else in base64; nothing is lost."""
    if raw is None:
        return None, None
    if b"\x00" not in raw:
        try:
            return raw.decode(), UTF_8
        except UnicodeDecodeError:
            pass
    return base64.b64encode(raw).decode(), BASE64
