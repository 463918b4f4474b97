"""Bridge events as lines of COPY's text format, where an empty field is NULL."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

from schemas.bridge_event import BridgeEvent

COLUMNS = BridgeEvent.__struct_fields__
_TABS = len(COLUMNS) - 1
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


@lru_cache(maxsize=8192)
def _shared(moment: datetime) -> str:
    return moment.isoformat()


def line(event: BridgeEvent) -> str:
    """One line with its newline.

    Rarely does a text hold what COPY reads as its own marks, so the line is made first and looked at as a
    whole; only where the count of marks is off is each field escaped.
    """
    sent_at = event.sent_at
    text = (
        f"{_shared(event.received_at)}\t{event.occurred_at.isoformat()}\t{'' if sent_at is None else sent_at.isoformat()}\t"
        f"{event.site_id}\t{'' if event.org_id is None else event.org_id}\t{event.script_id}\t{event.event_id}\t"
        f"{event.event_type}\t{event.session_id or ''}\t{event.visitor_id or ''}\t{event.url or ''}\t"
        f"{event.url_host or ''}\t{event.url_path or ''}\t{event.utm_source or ''}\t{event.utm_medium or ''}\t"
        f"{event.utm_campaign or ''}\t{event.utm_term or ''}\t{event.utm_content or ''}\t{event.referrer or ''}\t"
        f"{event.referrer_host or ''}\t{event.user_agent or ''}\t{'' if event.value is None else event.value}\t"
        f"{event.currency or ''}\t{event.properties}\t{event.schema_version}\t{event.raw_topic}\t"
        f"{event.raw_partition}\t{event.raw_offset}\t{event.attempt}\n"
    )
    if "\\" in text or "\r" in text or text.count("\t") != _TABS or text.count("\n") != 1:
        return _escaped(event)
    return text


def _escaped(event: BridgeEvent) -> str:
    fields = []
    for name in COLUMNS:
        field = getattr(event, name)
        if field is None:
            fields.append("")
        elif isinstance(field, datetime):
            fields.append(field.isoformat())
        else:
            fields.append(str(field).translate(_ESCAPES))
    return "\t".join(fields) + "\n"


def payload(events: Iterable[BridgeEvent]) -> bytes:
    """The whole COPY body for these events."""
    return "".join(map(line, events)).encode()
