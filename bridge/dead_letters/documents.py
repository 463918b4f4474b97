"""Dead letters and replay plans as JSON documents, with the exact bytes that producers sent."""

import base64
from datetime import datetime
from typing import Any

from schemas.documents.replay import Outcome, Plan
from schemas.pipeline.record import Provenance
from sinks.postgres.dead_letters.groups import Groups
from sinks.postgres.dead_letters.letter import DeadLetterLine, WholeDeadLetter
from sinks.postgres.dead_letters.lives import Shown
from sinks.postgres.dead_letters.pages import Page
from sinks.postgres.replays.plans import Became, summed

UTF_8, BASE64 = "utf-8", "base64"


def plain(value: Any) -> Any:
    """Return a value for JSON: named tuples as objects, provenances as text, times as `line_document` has them."""
    if isinstance(value, Provenance):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(one) for name, one in value._asdict().items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def line_document(line: DeadLetterLine) -> dict[str, Any]:
    """Return the JSON document of one dead letter in a list; times are RFC 3339 in UTC, with microseconds."""
    return line._asdict() | {"provenance": str(line.provenance), "dropped_at": line.dropped_at.isoformat()}


def letter_document(letter: WholeDeadLetter) -> dict[str, Any]:
    """Return the JSON document of a whole dead letter, with the encoding of key, payload and each header value."""
    key, key_encoding = encoded(letter.body.key)
    payload, payload_encoding = encoded(letter.body.value)
    times = ("received_at", "record_time", "first_failed_at", "changed_at")
    return line_document(letter.line) | {name: getattr(letter, name).isoformat() for name in times} | {
        "replay_id": letter.replay_id,
        "discarded_by": letter.discarded_by,
        "key": key,
        "key_encoding": key_encoding,
        "payload": payload,
        "payload_encoding": payload_encoding,
        "headers": [dict(zip(("name", "value", "encoding"), (name, *encoded(value)), strict=True))
                    for name, value in letter.body.headers],
    }  # fmt: skip


def encoded(raw: bytes | None) -> tuple[str | None, str | None]:
    """Return bytes as text, with the encoding: UTF-8 for valid UTF-8 without NUL, else base64. Nothing is lost."""
    if raw is None:
        return None, None
    if b"\x00" not in raw:
        try:
            return raw.decode(), UTF_8
        except UnicodeDecodeError:
            pass
    return base64.b64encode(raw).decode(), BASE64


def page_document(found: Page) -> dict[str, Any]:
    """Return the JSON document of one page of a list of dead letters."""
    return {
        "total": found.total,
        "next": None if found.following is None else str(found.following),
        "dead_letters": [line_document(line) for line in found.lines],
    }


def groups_document(found: Groups) -> dict[str, Any]:
    """Return the JSON document of dead letters grouped by cause, repeatedly dropped events, and duplicates by script.

    A cause is one reason with one error message, without its numbers and quoted values.
    """
    return {
        "total": found.total,
        "causes": found.causes,
        "groups": [
            plain(one)
            | {
                "share_pct": share(one.dead_letters, found.total),
                "dropped_reason": one.example.dropped_reason,
                "error_class": one.example.error_class,
            }
            for one in found.groups
        ],
        "repeated": plain(found.often.repeated),
        "repeated_events": found.often.events,
        "duplicates": found.often.duplicates,
        "duplicate_replays": found.often.replays,
        "duplicates_by_script": plain(found.often.by_script),
    }


def share(count: int, total: int) -> float:
    """Return the share in percent."""
    return round(100 * count / total, 2)


def shown_document(found: Shown) -> dict[str, Any]:
    """Return the document of a whole dead letter with its replays."""
    return letter_document(found.letter) | {"lives": plain(found.lives)}


def status_document(plan: Plan, became: list[Became], *, running: bool) -> dict[str, Any]:
    """Return the JSON document of a replay plan, with its progress and the outcomes of its items (dead letters)."""
    reasons = {one.value: summed(became, one) for one in (Outcome.DROPPED, Outcome.SKIPPED)}
    return plan._asdict() | {"running": running, "outcomes": summed(became)} | reasons
