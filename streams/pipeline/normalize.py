"""Normalisation: one pure function that turns the fields of contract version 1 into a bridge event (a row's content).

Workers, jobs and previews all call this function.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple

import can_ada
import msgspec

from schemas.config.duration import written
from schemas.config.settings import Settings
from schemas.events.bridge_event import BridgeEvent
from schemas.events.currencies import CURRENCIES
from schemas.events.event_types import canonical_type
from schemas.events.raw_event import (
    ABSENT,
    MAX_HOST,
    MAX_HOST_LABEL,
    MAX_HOST_NAME,
    MAX_URL_GROWTH,
    RawFields,
    instant_from_epoch_ms,
    parse_amount,
    rounded_amount,
)
from schemas.instants import utc_text
from schemas.pipeline.record import Provenance
from schemas.pipeline.registry import Registry
from schemas.pipeline.sender import Sender
from schemas.reasons import ErrorClass
from streams.pipeline.name_order import sorted_names
from streams.pipeline.rejection import Identity, Rejection
from streams.pipeline.violations import quoted, unit_hint

_NO_TIME = timedelta(0)
TRANSIT = timedelta(seconds=10)
"""The longest time that a request is expected to take, in seconds.

Only a larger difference between sent_at and received_at shows that the producer's clock is wrong.
"""
# A pattern for most of the amounts that `parse_amount` accepts and `rounded_amount` leaves unchanged.
_PLAIN_AMOUNT = re.compile(r'"?(-?[0-9]{1,15}(?:\.[0-9]{1,6})?)"?', re.ASCII).fullmatch
_EMPTY = ("null", "[]")
_encode = msgspec.json.encode
_parse = can_ada.parse
_NO_URL = (ValueError, TypeError)
_AUTHORITY = re.compile(
    r"[\x00-\x20]*(?:(?:https?|wss?|ftp):[/\\]*|file:[/\\]{2})([^/\\?#]*)", re.ASCII | re.IGNORECASE
).match
_LABELS = re.compile("[.\u3002\uff0e\uff61]").split
_UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
_UTM_PARAMETER = re.compile("(?:^|&)(utm_(?:source|medium|campaign|term|content))=([^&]+)").finditer
_BROKEN_PERCENT = re.compile("%(?![0-9a-fA-F]{2})").sub
_Utm = tuple[str | None, str | None, str | None, str | None, str | None]
_NO_UTM: _Utm = (None, None, None, None, None)
# Longer texts are not cached, because a sender could fill the cache with them.
_REMEMBERED_LENGTH = 256


class Bounds(NamedTuple):
    """The limits on an event's occurred_at, and which corrections of an event are allowed.

    occurred_at may lie before and after received_at by at most the limits. `max_skew` is the largest difference between
    sent_at and received_at for which occurred_at is corrected. With `aliases`, aliases of event types are accepted.
    """

    max_age: timedelta
    max_ahead: timedelta
    max_skew: timedelta = timedelta(hours=24)
    aliases: bool = True


def bounds_of(settings: Settings) -> Bounds:
    """Return the limits from the settings."""
    age, ahead = settings.occurred_at_max_age.span, settings.occurred_at_max_ahead.span
    return Bounds(age, ahead, settings.sent_at_max_skew.span, settings.event_type_aliases)


def normalize(
    fields: RawFields,
    received_at: datetime,
    provenance: Provenance,
    attempt: int,
    registry: Registry,
    bounds: Bounds,
    sender: Sender = Sender.DIRECT,
) -> BridgeEvent:
    """Return the bridge event; raises Rejection with the error class, the field and the rule."""
    event_id, site_id, script_id = fields.event_id, fields.site_id, fields.script_id
    if event_id is None or site_id is None or script_id is None:  # `decode` has filled or rejected them
        raise _violation("event_id, site_id and script_id are required", fields)
    script = registry.get(script_id)
    if script is None or not script.enabled:
        state = "not registered" if script is None else "disabled"
        raise Rejection(ErrorClass.UNKNOWN_SCRIPT, f"script {script_id!r} is {state}", fields)
    if script.paused:
        raise Rejection(ErrorClass.SCRIPT_PAUSED, f"script {script_id!r} is paused; see `bridge pause list`", fields)
    if script.site_id != site_id:
        raise _of_another_site(script_id, fields)
    original: dict[str, str] | None = None
    event_type = canonical_type(fields.event_type, bounds.aliases)
    if event_type != fields.event_type:
        original = {"event_type": fields.event_type}
    occurred_at, sent_at, stated = _times(fields, received_at, bounds)
    if stated is not None:
        original = (original or {}) | {"occurred_at": stated}
    url = url_host = url_path = None
    utm: _Utm = _NO_UTM
    if fields.url:
        url, url_host, url_path, utm = page_parts(fields.url)
    referrer = fields.referrer or None
    value, exact = _amount(fields) if fields.value is not ABSENT else (None, None)
    if exact is not None:
        original = (original or {}) | {"value": exact}
    properties = str(fields.properties, "utf-8")
    return BridgeEvent(
        received_at,
        occurred_at,
        sent_at,
        site_id,
        script.org_id,
        script_id,
        event_id,
        event_type,
        fields.session_id or None,
        fields.visitor_id or None,
        url,
        url_host,
        url_path,
        *utm,
        referrer,
        referrer_host(referrer) if referrer else None,
        fields.user_agent or None,
        value,
        _currency(fields) if fields.currency else None,
        "{}" if properties in _EMPTY else sorted_names(properties),
        fields.schema_version,
        provenance.topic,
        provenance.partition,
        provenance.offset,
        attempt,
        sender,
        None if original is None else _encode(original).decode(),
    )


def violations(identity: Identity, received_at: datetime, registry: Registry, bounds: Bounds) -> list[str]:
    """Return, as texts, the violations that `normalize` would find in the readable fields of an invalid event."""
    found = []
    script = registry.get(identity.script_id or "")
    if script is not None and identity.site_id not in (None, script.site_id):
        found.append(_of_another_site(script.script_id, identity).message)
    if identity.occurred_at is not None:
        found += _refusal(lambda: _times(identity, received_at, bounds))
    if identity.currency:
        found += _refusal(lambda: _currency(identity))
    return found


def _refusal(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except Rejection as rejection:
        return [rejection.message]
    return []


def _violation(message: str, fields: Identity) -> Rejection:
    return Rejection(ErrorClass.SCHEMA_VIOLATION, message, fields)


def _of_another_site(script_id: str, fields: Identity) -> Rejection:
    # The message does not name the script's own site, because that site belongs to someone else.
    return _violation(f"site_id: script {script_id!r} is not of site {fields.site_id}", fields)


def _times(fields: Identity, received_at: datetime, bounds: Bounds) -> tuple[datetime, datetime | None, str | None]:
    """Return the event's occurred_at and sent_at, and the producer's occurred_at as text if it was corrected.

    occurred_at is corrected to the server's clock if the difference between sent_at and received_at shows that the
    producer's clock is wrong.
    """
    occurred, sent, utc = fields.occurred_at, fields.sent_at, received_at.tzinfo
    place = "occurred_at"
    try:
        # Postgres accepts no offset of 16 hours or more.
        if isinstance(occurred, int):
            occurred = instant_from_epoch_ms(occurred)
        elif occurred is not None and occurred.tzinfo is not utc:
            occurred = occurred.astimezone(utc)
        place = "sent_at"
        if sent is not None:
            if isinstance(sent, int):
                sent = instant_from_epoch_ms(sent)
            elif sent.tzinfo is not utc:
                sent = sent.astimezone(utc)
    except (ValueError, OverflowError):
        raise _violation(f"{place}: {getattr(fields, place)} is out of range", fields) from None
    if occurred is None:
        raise _violation("occurred_at: is required", fields)
    if sent is not None and not 1970 <= sent.year < 9999:
        raise _violation(f"sent_at: {utc_text(sent)} is out of range", fields)
    age = received_at - occurred
    if age > bounds.max_age:
        raise _too_far(occurred, f"more than {written(bounds.max_age)} before", fields)
    if sent is not None and TRANSIT < abs(received_at - sent) <= bounds.max_skew:
        # An event can't be sent before it occurs. If it seems so, the producer's clock was set back between the two.
        return received_at - max(sent - occurred, _NO_TIME), sent, utc_text(occurred)
    if -age > bounds.max_ahead:
        raise _too_far(occurred, f"more than {written(bounds.max_ahead)} after", fields)
    return occurred, sent, None


def _too_far(occurred: datetime, how: str, fields: Identity) -> Rejection:
    hint = unit_hint(fields.occurred_at) if isinstance(fields.occurred_at, int) else ""
    return _violation(f"occurred_at: {hint or f'{utc_text(occurred)} is {how} it was received'}", fields)


def page_parts(url: str) -> tuple[str, str | None, str | None, _Utm]:
    """Return the URL of the page where the event happened, its host, its path, and its campaign parameters.

    The URL is returned without its fragment. If it is not absolute, only its text is returned. If escapes would make it
    longer by more than MAX_URL_GROWTH, its text is returned as it is, and no path.
    """
    try:
        doubtful = len(url) > MAX_HOST_NAME or not url.isascii()
        parsed = None if doubtful and _has_impossible_host(url) else _parse(url)
    except _NO_URL:
        parsed = None
    if parsed is None:
        return url, None, None, _NO_UTM
    href, _, _ = parsed.href.partition("#")
    _, _, query = href.partition("?")
    utm = _campaign(query) if "utm_" in query else _NO_UTM
    if len(href) > len(url) + MAX_URL_GROWTH:
        return url.partition("#")[0], parsed.hostname or None, None, utm
    return href, parsed.hostname or None, parsed.pathname or None, utm


def _campaign(query: str) -> _Utm:
    """Return the campaign parameters (utm_*) in the query of a URL.

    The result is cached by only the utm_* part of the query, because many events share this part.
    """
    start = query.find("utm_")
    if start and query[start - 1] != "&":
        start = 0
    end = query.find("&", query.rfind("utm_"))
    part = query[start:] if end < 0 else query[start:end]
    return _utm(part) if len(part) <= _REMEMBERED_LENGTH else _utm.__wrapped__(part)


@lru_cache(maxsize=8192)
def _utm(parameters: str) -> _Utm:
    """Return the first value of each utm_* parameter. Characters that Postgres can't store are replaced."""
    found: dict[str, str] = {}
    for parameter in _UTM_PARAMETER(parameters):
        name, value = parameter.groups()
        if name not in found:
            found[name] = _unquoted(value) if "%" in value or "+" in value else value
            if len(found) == len(_UTM):
                break
    return tuple(map(found.get, _UTM))  # type: ignore[return-value]  # one value for each of the five names


def _unquoted(value: str) -> str:
    """Decode a percent-encoded ASCII value of a query in one pass, with the same result as `urllib.parse.parse_qsl`."""
    # The first of two adjacent percent signs is an invalid escape. One replacement saves a search at each of many
    # signs.
    marked = value.replace("+", " ").replace("\\", "%5C").replace("%%", "%25%").replace("%%", "%25%")
    escaped = _BROKEN_PERCENT("%25", marked).replace("%", "\\x")
    return (
        escaped.encode().decode("unicode_escape").encode("latin-1").decode(errors="replace").replace("\x00", "\ufffd")
    )


def referrer_host(referrer: str) -> str | None:
    """Return the host of the referrer's URL.

    The result is cached by the URL without path and query, so that few different texts fill the cache.
    """
    end = referrer.find("/", referrer.find("://") + 3)
    origin = referrer if end < 0 else referrer[: end + 1]
    return _host(origin) if len(origin) <= _REMEMBERED_LENGTH else _host.__wrapped__(origin)


def _has_impossible_host(url: str) -> bool:
    """Return whether the URL's host is too long, or has to be converted to ASCII and exceeds a length limit of DNS.

    The time to convert a label (a part between dots) grows with its length times the number of its different
    characters.
    """
    for ignored in "\t\n\r":
        url = url.replace(ignored, "")
    found = _AUTHORITY(url)
    if found is None:
        return False
    host = found[1].rpartition("@")[2]
    if host.isascii() and "%" not in host:
        return len(found[1]) > MAX_HOST
    return len(found[1]) > MAX_HOST or len(host) > MAX_HOST_NAME or (not host.isascii() and _is_beyond_dns(host))


def _is_beyond_dns(host: str) -> bool:
    """Return whether the host, or one of its labels (parts between dots), is longer than DNS allows.

    The length is that after NFKC normalisation.
    """
    left = MAX_HOST_NAME + 1
    for label in _LABELS(host):
        length = len(label) if len(label) > MAX_HOST_LABEL else len(unicodedata.normalize("NFKC", label))
        left -= length + 1
        if length > MAX_HOST_LABEL or left < 0:
            return True
    return False


@lru_cache(maxsize=8192)
def _host(url: str) -> str | None:
    return page_parts(url)[1]


def forget_texts() -> None:
    """Clear the caches of hosts and campaigns, so that an event takes as long as one with texts that no other has."""
    _host.cache_clear()
    _utm.cache_clear()


def _amount(fields: RawFields) -> tuple[Decimal | None, str | None]:
    """Return the event's amount as the column stores it, and the producer's text if the stored amount differs."""
    text = str(fields.value, "utf-8")
    if plain := _PLAIN_AMOUNT(text):
        return Decimal(plain[1]), None
    try:
        exact = parse_amount(text[1:-1] if text[0] == '"' else None if text == "null" else Decimal(text))
    except (ValueError, InvalidOperation) as error:
        raise _violation(f"value: {error}", fields) from None
    value = None if exact is None else rounded_amount(exact)
    return value, None if value == exact else str(exact)


def _currency(fields: Identity) -> str:
    given = fields.currency or ""
    currency = given.upper()
    if currency not in CURRENCIES:
        raise _violation(f"currency: {quoted(given)} is not an ISO currency code, such as EUR", fields)
    return currency
