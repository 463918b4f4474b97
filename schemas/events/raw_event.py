"""The contract of a raw event: the fields that a producer may send, with their descriptions."""

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Annotated, Any, Final

import msgspec
from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer, WithJsonSchema

MAX_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 32
MAX_INTEGER: Final = 2**63 - 1
MAX_HOST: Final = 1024
"""The most characters of a URL's authority: user information, host and port."""
MAX_URL_GROWTH: Final = 1024
"""By how many characters escapes may make a URL longer."""
MAX_HOST_NAME: Final = 253
"""The most characters of a host name that DNS allows."""
MAX_HOST_LABEL: Final = 63
"""The most characters of a label of a host name that DNS allows."""
MAX_EXPONENTS: Final = 128 * 1024
"""The most digits that exponents may add when all of an event's numbers are written out, as jsonb does."""
MAX_EVENT_ID: Final = 128
MAX_EVENT_TYPE: Final = 64
MAX_SCRIPT_ID: Final = 128

_EVENT_ID = (
    "the event's id, which the producer makes before its first try, best a UUIDv7. The gateway adds one if it is absent"
)
_SITE_ID = "the site; over HTTP it may be absent, because the gateway knows it from the key or token"
_SCRIPT_ID = "the script; over HTTP it may be absent, because the gateway knows it from the key or token"
_EVENT_TYPE = (
    "any name. It is stored in lower case with underscores: `addToCart`, `Add To Cart` and `add-to-cart` as `add_to_cart`. "
    "Aliases in docs/producers/what-becomes-of-an-event.md are stored as the usual name. `original` has what was sent"
)
_OCCURRED_AT = (
    "when the event happened, by the producer's clock: RFC 3339 with an offset, or milliseconds since the epoch; at most "
    "7 days before the event is received, and at most an hour after"
)
_SENT_AT = (
    "when this request was sent, by the same clock as occurred_at. Leave it out if others send the event later. If it "
    "differs from the time of receipt by more than 10 seconds and at most 24 hours, the clock counts as wrong: occurred_at "
    "becomes received_at - (sent_at - occurred_at), and `original` has what was sent. An empty text counts as absent"
)
_URL = (
    "the page's URL; any text is stored. From an absolute URL, host, path and utm_* parameters are stored separately; no path "
    f"if escapes make the URL more than {MAX_URL_GROWTH} characters longer. The "
    f"host has at most {MAX_HOST} characters; if it is escaped or not ASCII, {MAX_HOST_NAME}, and {MAX_HOST_LABEL} between dots"
)
_REFERRER = "the page's referrer; any text is stored. The host of an absolute URL is stored separately"
_AMOUNT = (
    "a number, or a number as text, with at most 15 digits before the point. More than 6 digits after it are rounded, a "
    "half away from zero, and `original` has what was sent. An empty text counts as absent"
)
_CURRENCY = "an active code of ISO 4217, in upper or lower case; an empty text counts as absent"
_PROPERTIES = (
    f"an object; an empty array counts as absent. The whole event has at most {MAX_DEPTH} levels. Numbers must fit a double. "
    f"Written out without exponents, all numbers together have at most {MAX_EXPONENTS} more digits"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Until the year 2106, seconds in a double are more precise than a microsecond.
_EXACT_AS_SECONDS_MS = 2**32 * 1000
_MAX_EPOCH_MS = 253_402_300_799_999  # the last millisecond of year 9999
_AMOUNT_DIGITS = 15
_AMOUNT_DECIMALS = 6
_AMOUNT_TEXT = 64
_AMOUNT_STEP = Decimal(1).scaleb(-_AMOUNT_DECIMALS)
_AMOUNT_CONTEXT = Context(prec=2 * (_AMOUNT_DIGITS + _AMOUNT_DECIMALS))
_ZERO = Decimal(0)
_AMOUNT_FORM = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LEAP_SECOND = re.compile(r"(.{10}[Tt ][0-9]{2}:[0-9]{2}:)60(.*)", re.ASCII)
_instant_type = Annotated[datetime, msgspec.Meta(tz=True)]
_epoch_ms_type = Annotated[int, msgspec.Meta(ge=0, le=_MAX_EPOCH_MS)]


def instant_from_epoch_ms(value: int) -> datetime:
    """Return the time of milliseconds since the epoch; raises ValueError outside the years 1970 to 9999."""
    if not 0 <= value <= _MAX_EPOCH_MS:
        raise ValueError("milliseconds since the epoch out of range")
    if value < _EXACT_AS_SECONDS_MS:
        return datetime.fromtimestamp(value / 1000, UTC)
    return _EPOCH + timedelta(milliseconds=value)


def parse_instant(value: Any) -> datetime:
    """Return the time of RFC 3339 text with an offset, or of milliseconds since the epoch.

    The decoder is the one of the hot path. A leap second becomes the first second of the next day, as in Postgres.
    """
    if isinstance(value, str):
        leap = _LEAP_SECOND.fullmatch(value)
        try:
            instant = msgspec.convert(f"{leap[1]}59{leap[2]}" if leap else value, _instant_type)
            return _after_leap_second(instant) if leap else instant
        except (msgspec.ValidationError, ValueError, OverflowError):
            raise ValueError("not an RFC 3339 time with an offset") from None
    if isinstance(value, int) and not isinstance(value, bool):
        return instant_from_epoch_ms(value)
    raise ValueError("must be RFC 3339 text or integer milliseconds since the epoch")


def _after_leap_second(before: datetime) -> datetime:
    """Return the time one second later if it begins a month of UTC. Leap seconds occur only there."""
    after = before.astimezone(UTC) + timedelta(seconds=1)
    if (after.day, after.hour, after.minute, after.second) != (1, 0, 0, 0):
        raise ValueError("no leap second")
    return after


def parse_amount(value: Any) -> Decimal | None:
    """Return the exact decimal of a JSON number or of its text; None for null and the empty text. Raises ValueError.

    The sender chooses decimals and exponent, so only `rounded_amount` of the result fits the column.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str) and len(value) <= _AMOUNT_TEXT and _AMOUNT_FORM.fullmatch(value):
        try:
            amount = Decimal(value)
        except InvalidOperation:
            raise ValueError("its exponent is out of range") from None
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        amount = Decimal(value)
    else:
        raise ValueError("must be a number, or a number as text")
    # The sender chooses the exponent, so no arithmetic is done before it is known to be small. Rounding may add a
    # digit.
    if not amount.is_finite() or (amount and _integer_digits(amount) > _AMOUNT_DIGITS):
        raise ValueError(f"must be a finite number of at most {_AMOUNT_DIGITS} digits before the point")
    return amount


def _integer_digits(amount: Decimal) -> int:
    digits = amount.adjusted() + 1
    return rounded_amount(amount).adjusted() + 1 if digits == _AMOUNT_DIGITS else digits


def rounded_amount(amount: Decimal) -> Decimal:
    """Return the amount as the column stores it: six decimals, with a half rounded away from zero as Postgres does.

    If rounding loses nothing, the amount itself is returned. Every zero becomes a plain 0.
    """
    if not amount:
        return _ZERO
    if int(amount.as_tuple().exponent) >= -_AMOUNT_DECIMALS:
        return amount
    return amount.quantize(_AMOUNT_STEP, ROUND_HALF_UP, _AMOUNT_CONTEXT)


def _absent(value: Any) -> Any:
    """Convert an empty text in an optional field to None."""
    return None if value == "" else value


def _object(value: Any) -> Any:
    """Convert an empty array, which PHP writes for an empty object, to None."""
    return None if value == [] else value


def _any_of(*forms: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": list(forms)})


_INSTANT = [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0, "maximum": _MAX_EPOCH_MS}]
_NULL = {"type": "null"}
Instant = Annotated[datetime, BeforeValidator(parse_instant), _any_of(*_INSTANT)]
OptionalInstant = Annotated[Instant | None, BeforeValidator(_absent), _any_of(*_INSTANT, {"const": ""}, _NULL)]
Amount = Annotated[
    Annotated[Decimal, PlainSerializer(str)] | None,
    BeforeValidator(parse_amount),
    _any_of(
        {"type": "number", "exclusiveMinimum": -(10**_AMOUNT_DIGITS), "exclusiveMaximum": 10**_AMOUNT_DIGITS},
        {"type": "string", "pattern": f"^({_AMOUNT_FORM.pattern})?$", "maxLength": _AMOUNT_TEXT},
        _NULL,
    ),
]
Properties = Annotated[
    dict[str, Any] | None,
    BeforeValidator(_object),
    _any_of({"type": "object"}, {"type": "array", "maxItems": 0}, _NULL),
]
Currency = Annotated[str | None, _any_of({"type": "string", "pattern": "^([A-Za-z]{3})?$"}, _NULL)]
_url = Field(None, description=_URL)
_referrer = Field(None, description=_REFERRER)
_user_agent = Field(
    None, description="the user agent, as the browser or program states it; an empty text counts as absent"
)
_amount = Field(None, description=_AMOUNT)
_currency = Field(None, description=_CURRENCY)
_properties = Field(None, description=_PROPERTIES)


class RawEventHead(BaseModel, strict=True, frozen=True):
    """The fields with which a raw event of each version begins."""

    event_id: str = Field(min_length=1, max_length=MAX_EVENT_ID, description=_EVENT_ID)
    site_id: int = Field(gt=0, le=MAX_INTEGER, description=_SITE_ID)
    script_id: str = Field(min_length=1, max_length=MAX_SCRIPT_ID, description=_SCRIPT_ID)
    event_type: str = Field(min_length=1, max_length=MAX_EVENT_TYPE, description=_EVENT_TYPE)
    occurred_at: Instant = Field(description=_OCCURRED_AT)
    sent_at: OptionalInstant = Field(None, description=_SENT_AT)
    session_id: str | None = Field(None, description="the producer's id of the session; an empty text counts as absent")
    visitor_id: str | None = Field(None, description="the producer's id of the visitor; an empty text counts as absent")


class RawEvent(RawEventHead, extra="forbid"):
    """A raw event of schema_version 1. Unknown fields are stored in `properties._extra`."""

    url: str | None = _url
    referrer: str | None = _referrer
    user_agent: str | None = _user_agent
    value: Amount = _amount
    currency: Currency = _currency
    properties: Properties = _properties
    schema_version: int = Field(1, ge=1, le=MAX_INTEGER, description="the version of this contract")


class Page(BaseModel, strict=True, extra="allow", frozen=True):
    """The page fields of schema_version 2."""

    url: str | None = _url
    referrer: str | None = _referrer


class RawEventV2(RawEventHead, extra="allow"):
    """A raw event of schema_version 2. `value` is called `amount`, and the page's fields are under `page`."""

    page: Annotated[Page | None, BeforeValidator(_object)] = None
    user_agent: str | None = _user_agent
    amount: Amount = _amount
    currency: Currency = _currency
    properties: Properties = _properties
    schema_version: int = Field(2, ge=2, le=2, description="the version of this contract")


CONTRACT_NAMES: Final = frozenset({*RawEvent.model_fields, *RawEventV2.model_fields})
"""The field names of all versions."""

ABSENT: Final = msgspec.Raw(b"null")
"""The JSON text of an absent field. Absent and null mean the same."""


class RawFields(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The decoded form of version 1 on the hot path. A property test checks that it equals RawEvent.

    Fields that gateway headers may fill are optional here. `value` and `properties` stay JSON text.
    """

    occurred_at: _instant_type | _epoch_ms_type
    event_type: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_EVENT_TYPE)]
    event_id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_EVENT_ID)] | None = None
    site_id: Annotated[int, msgspec.Meta(gt=0, le=MAX_INTEGER)] | None = None
    script_id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SCRIPT_ID)] | None = None
    sent_at: _instant_type | _epoch_ms_type | None = None
    session_id: str | None = None
    visitor_id: str | None = None
    url: str | None = None
    referrer: str | None = None
    user_agent: str | None = None
    value: msgspec.Raw = ABSENT
    currency: str | None = None
    properties: msgspec.Raw = ABSENT
    schema_version: Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)] = 1
