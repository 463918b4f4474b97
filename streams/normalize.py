"""From version 1's fields to a bridge event: one normaliser, pure, for every caller."""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

import can_ada

from schemas.bridge_event import BridgeEvent
from schemas.currencies import CURRENCIES
from schemas.raw_event import ABSENT, MAX_HOST, RawFields, instant_from_epoch_ms, parse_amount
from schemas.reasons import ErrorClass
from schemas.record import Provenance
from schemas.registry import Registry
from schemas.sender import Sender
from streams.rejection import Rejection

_ALIASES = {
    "page_view": "page_view", "pageview": "page_view", "page_viewed": "page_view", "view": "page_view",
    "click": "click", "clicked": "click", "tap": "click",
    "form_submit": "form_submit", "form_submitted": "form_submit", "formsubmit": "form_submit", "submit": "form_submit",
    "purchase": "purchase", "purchased": "purchase", "order": "purchase", "order_completed": "purchase",
    "checkout_completed": "purchase",
}  # fmt: skip
# To turn a host into ASCII takes the square of its length.
_LONG_HOST = re.compile(
    rf"[\x00-\x20]*(?:(?:https?|wss?|ftp):[/\\]*|file:[/\\]{{2}})[^/\\?#]{{{MAX_HOST + 1}}}", re.ASCII | re.IGNORECASE
).match
_UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
_UTM_PARAMETER = re.compile("(?:^|&)(utm_(?:source|medium|campaign|term|content))=([^&]+)").finditer
_BROKEN_PERCENT = re.compile("%(?![0-9a-fA-F]{2})").sub
_NO_UTM: tuple[None, ...] = (None,) * len(_UTM)
# Longer texts are read each time: a memory of them would be as large as a stranger likes.
_REMEMBERED_LENGTH = 256


class Bounds(NamedTuple):
    """How far the corrected occurred_at may lie before and after received_at."""

    max_age: timedelta
    max_ahead: timedelta


@lru_cache(maxsize=4096)
def canonical_type(event_type: str) -> str:
    """The canonical name of an event type: aliases resolved, else lower case with underscores."""
    plain = "_".join(event_type.strip().lower().replace("-", " ").replace("_", " ").split())
    return _ALIASES.get(plain, plain or event_type)


def normalize(
    fields: RawFields,
    *,
    received_at: datetime,
    provenance: Provenance,
    attempt: int,
    registry: Registry,
    bounds: Bounds,
    sender: Sender = Sender.DIRECT,
) -> BridgeEvent:
    """The bridge event; raises Rejection with the error class, the field and the rule."""
    event_id, site_id, script_id = fields.event_id, fields.site_id, fields.script_id
    if event_id is None or site_id is None or script_id is None:  # decode fills or refuses them
        raise _violation("event_id, site_id and script_id are required", fields)
    script = registry.get(script_id)
    if script is None or not script.enabled:
        state = "not registered" if script is None else "disabled"
        raise Rejection(ErrorClass.UNKNOWN_SCRIPT, f"script {script_id!r} is {state}", fields)
    if script.paused:
        raise Rejection(ErrorClass.SCRIPT_PAUSED, f"script {script_id!r} is paused; see `bridge pause list`", fields)
    if script.site_id != site_id:
        # Whose it is, is not this site's affair.
        raise _violation(f"site_id: script {script_id!r} is not of site {site_id}", fields)
    occurred_at, sent_at = _times(fields, received_at, bounds)
    url = url_host = url_path = None
    utm: tuple[str | None, ...] = _NO_UTM
    if fields.url:
        url, url_host, url_path, utm = _page(fields)
    referrer = fields.referrer or None
    value, currency = _money(fields)
    properties = str(fields.properties, "utf-8")
    return BridgeEvent(
        received_at,
        occurred_at,
        sent_at,
        site_id,
        script.org_id,
        script_id,
        event_id,
        canonical_type(fields.event_type),
        fields.session_id or None,
        fields.visitor_id or None,
        url,
        url_host,
        url_path,
        utm[0],
        utm[1],
        utm[2],
        utm[3],
        utm[4],
        referrer,
        _referrer_host(referrer) if referrer else None,
        fields.user_agent or None,
        value,
        currency,
        "{}" if properties == "null" else properties,
        fields.schema_version,
        provenance.topic,
        provenance.partition,
        provenance.offset,
        attempt,
        sender,
    )


def _violation(message: str, fields: RawFields) -> Rejection:
    return Rejection(ErrorClass.SCHEMA_VIOLATION, message, fields)


def _times(fields: RawFields, received_at: datetime, bounds: Bounds) -> tuple[datetime, datetime | None]:
    """occurred_at by the server's clock, and sent_at as the client said it."""
    occurred, sent = fields.occurred_at, fields.sent_at
    place = "occurred_at"
    try:
        if isinstance(occurred, int):
            occurred = instant_from_epoch_ms(occurred)
        if sent is not None:
            place = "sent_at"
            if isinstance(sent, int):
                sent = instant_from_epoch_ms(sent)
            occurred = received_at - (sent - occurred)
            if sent.tzinfo is not received_at.tzinfo:
                # Postgres knows no offset of 16 hours and more.
                sent = sent.astimezone(received_at.tzinfo)
        else:
            occurred = occurred.astimezone(received_at.tzinfo)
    except (ValueError, OverflowError):
        raise _violation(f"{place}: out of range", fields) from None
    age = received_at - occurred
    if age > bounds.max_age or -age > bounds.max_ahead:
        side = "before" if age > bounds.max_age else "after"
        limit = bounds.max_age if side == "before" else bounds.max_ahead
        raise _violation(f"occurred_at: more than {limit} {side} received_at", fields)
    if sent is not None and not 1970 <= sent.year < 9999:
        raise _violation("sent_at: out of range", fields)
    return occurred, sent


def _page(fields: RawFields) -> tuple[str, str | None, str | None, tuple[str | None, ...]]:
    """The page's URL without its fragment, host, path, and campaign parameters."""
    url = fields.url or ""
    if _has_long_host(url):
        raise _violation(f"url: its host is longer than {MAX_HOST} characters", fields)
    try:
        parsed = can_ada.parse(url)
    except (ValueError, TypeError):
        raise _violation(f"url: not an absolute URL: {url[:120]!r}", fields) from None
    href, _, _ = parsed.href.partition("#")
    _, _, query = href.partition("?")
    utm = _campaign(query) if "utm_" in query else _NO_UTM
    return href, parsed.hostname or None, parsed.pathname or None, utm


def _campaign(query: str) -> tuple[str | None, ...]:
    """The utm_* parameters of a query. They recur and stand together, so that one reading serves many events."""
    start = query.find("utm_")
    if start and query[start - 1] != "&":
        start = 0
    end = query.find("&", query.rfind("utm_"))
    part = query[start:] if end < 0 else query[start:end]
    return _utm(part) if len(part) <= _REMEMBERED_LENGTH else _utm.__wrapped__(part)


@lru_cache(maxsize=8192)
def _utm(parameters: str) -> tuple[str | None, ...]:
    """The first value of each; text that Postgres cannot hold is replaced."""
    found: dict[str, str] = {}
    for parameter in _UTM_PARAMETER(parameters):
        name, value = parameter.groups()
        if name not in found:
            found[name] = _unquoted(value) if "%" in value or "+" in value else value
            if len(found) == len(_UTM):
                break
    return tuple(map(found.get, _UTM))


def _unquoted(value: str) -> str:
    """The text of a query's value, which is ASCII, as `urllib.parse.parse_qsl` reads it but in one pass."""
    escaped = _BROKEN_PERCENT("%25", value.replace("+", " ").replace("\\", "%5C")).replace("%", "\\x")
    return (
        escaped.encode().decode("unicode_escape").encode("latin-1").decode(errors="replace").replace("\x00", "\ufffd")
    )


def _referrer_host(referrer: str) -> str | None:
    """The referrer's host, from its part before path and query so that few texts serve many events."""
    end = referrer.find("/", referrer.find("://") + 3)
    origin = referrer if end < 0 else referrer[: end + 1]
    return _host(origin) if len(origin) <= _REMEMBERED_LENGTH else _host.__wrapped__(origin)


def _has_long_host(url: str) -> bool:
    """Whether the host, with what else stands before the path, is longer than any host."""
    if len(url) <= MAX_HOST:
        return False
    for ignored in "\t\n\r":
        url = url.replace(ignored, "")
    return _LONG_HOST(url) is not None


@lru_cache(maxsize=8192)
def _host(url: str) -> str | None:
    if _has_long_host(url):
        return None
    try:
        return can_ada.parse(url).hostname or None
    except (ValueError, TypeError):
        return None


def _money(fields: RawFields) -> tuple[Decimal | None, str | None]:
    value: Decimal | None = None
    if fields.value is not ABSENT and (text := str(fields.value, "utf-8")) != "null":
        try:
            value = parse_amount(text[1:-1] if text[0] == '"' else text)
        except ValueError as error:
            raise _violation(f"value: {error}", fields) from None
    currency = fields.currency
    if currency is not None:
        currency = currency.upper()
        if currency not in CURRENCIES:
            raise _violation(f"currency: {fields.currency!r} is not an ISO 4217 code", fields)
    return value, currency
