"""Building of events: from a mapping to bytes, with an id and a time, within the limits of the stream."""

import json
import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from schemas.errors import InvalidInput
from schemas.uuid7 import uuid7

MAX_EVENT_BYTES: Final = 64 * 1024
MAX_EVENT_ID: Final = 128
MAX_EVENT_TYPE: Final = 64


class Event(NamedTuple):
    """One event to send: the event's id, and the event as one line of JSON without the newline."""

    event_id: str
    body: bytes


def make_event(fields: Mapping[str, Any]) -> Event:
    """Build the event, with default `event_id` and `occurred_at`; raises InvalidInput, which names a wrong field."""
    now_ms = time.time_ns() // 1_000_000
    document = {name: value for name, value in fields.items() if value is not None}
    event_id = document.setdefault("event_id", uuid7(now_ms))
    document.setdefault("occurred_at", now_ms)
    _check_text("event_id", event_id, MAX_EVENT_ID)
    _check_text("event_type", document.get("event_type"), MAX_EVENT_TYPE)
    try:
        body = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"event {event_id!r} can't be written as JSON: {error or type(error).__name__}") from error
    if len(body) > MAX_EVENT_BYTES:
        raise InvalidInput(f"event {event_id!r} has {len(body)} bytes of JSON; the limit is {MAX_EVENT_BYTES}")
    return Event(event_id, body)


def _check_text(name: str, value: Any, longest: int) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise InvalidInput(f"{name}: {value!r} is not a text of 1 to {longest} characters")


def _plain(value: Any) -> str:
    """Return the JSON text for a value of a type that JSON does not have, such as a time."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError(f"the time {value} has no time zone; give an aware datetime")
        return value.isoformat()
    if isinstance(value, Decimal | uuid.UUID):
        return str(value)
    raise TypeError(f"a {type(value).__name__} can't be represented in JSON")
