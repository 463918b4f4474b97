"""The contract of a raw event: what a producer may send, and what is said when it doesn't fit."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

MAX_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 32
MAX_INTEGER: Final = 2**63 - 1
MAX_HOST: Final = 1024
"""Characters of a URL's host with what else stands before its path. A host name has 253."""
MAX_EXPONENTS: Final = 128 * 1024
"""Digits that the exponents of an event's numbers add together where they are written out, as jsonb does."""
MAX_EVENT_ID: Final = 128
MAX_EVENT_TYPE: Final = 64
MAX_SCRIPT_ID: Final = 128

_PROPERTIES = (
    f"an object; with the event {MAX_DEPTH} levels at most; numbers as a double holds them, and their exponents add at most "
    f"{MAX_EXPONENTS} digits where all numbers are written out"
)
_URL = f"absolute; its host has at most {MAX_HOST} characters"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_EPOCH_MS = 253_402_300_799_999  # the last millisecond of year 9999
_AMOUNT_DIGITS = 15
_AMOUNT_DECIMALS = 6
_AMOUNT_TEXT = 64
_ZERO = Decimal(0)
_AMOUNT_FORM = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_instant_type = Annotated[datetime, msgspec.Meta(tz=True)]
_epoch_ms_type = Annotated[int, msgspec.Meta(ge=0, le=_MAX_EPOCH_MS)]


def instant_from_epoch_ms(value: int) -> datetime:
    """An instant from milliseconds since the epoch; raises ValueError outside years 1970 to 9999."""
    if not 0 <= value <= _MAX_EPOCH_MS:
        raise ValueError("milliseconds since the epoch out of range")
    return _EPOCH + timedelta(milliseconds=value)


def parse_instant(value: Any) -> datetime:
    """An instant from RFC 3339 text with an offset, or epoch milliseconds; the hot path's decoder reads the text."""
    if isinstance(value, str):
        try:
            return msgspec.convert(value, _instant_type)
        except msgspec.ValidationError:
            raise ValueError("not an RFC 3339 time with an offset") from None
    if isinstance(value, int) and not isinstance(value, bool):
        return instant_from_epoch_ms(value)
    raise ValueError("must be RFC 3339 text or integer milliseconds since the epoch")


def check_amount(amount: Decimal) -> Decimal:
    """The amount itself, any zero as a plain 0; raises ValueError if the column could not hold it exactly."""
    # No arithmetic: with an exponent of a producer's choosing it overflows the decimal context. Nor may such an
    # exponent go on to the driver, not even that of a zero.
    if not amount:
        return _ZERO
    if not amount.is_finite() or amount.adjusted() >= _AMOUNT_DIGITS:
        raise ValueError(f"must be a finite number of at most {_AMOUNT_DIGITS} digits before the point")
    _, digits, exponent = amount.as_tuple()
    excess = -int(exponent) - _AMOUNT_DECIMALS
    if excess > 0 and any(digits[-excess:]):
        raise ValueError(f"must have at most {_AMOUNT_DECIMALS} digits after the point")
    return amount


def parse_amount(value: Any) -> Decimal | None:
    """A decimal from a JSON number or its text."""
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= _AMOUNT_TEXT and _AMOUNT_FORM.fullmatch(value):
        try:
            return check_amount(Decimal(value))
        except InvalidOperation:
            raise ValueError("its exponent is out of range") from None
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return check_amount(Decimal(value))
    raise ValueError("must be a number, or a number as text")


Instant = Annotated[
    datetime,
    BeforeValidator(parse_instant),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0}],
            "description": "RFC 3339 with an offset, or milliseconds since the epoch",
        }
    ),
]
Amount = Annotated[
    Decimal,
    BeforeValidator(parse_amount),
    PlainSerializer(str),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}], "description": "at most 15.6 digits"}),
]


class RawEvent(BaseModel):
    """A raw event, schema_version 1; unknown fields are kept in `properties._extra`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    event_id: str = Field(min_length=1, max_length=MAX_EVENT_ID, description="made by the producer; UUIDv7 advised")
    site_id: int = Field(gt=0, le=MAX_INTEGER)
    script_id: str = Field(min_length=1, max_length=MAX_SCRIPT_ID)
    event_type: str = Field(min_length=1, max_length=MAX_EVENT_TYPE)
    occurred_at: Instant
    sent_at: Instant | None = None
    session_id: str | None = None
    visitor_id: str | None = None
    url: str | None = Field(None, description=_URL)
    referrer: str | None = None
    user_agent: str | None = None
    value: Amount | None = None
    currency: str | None = Field(None, min_length=3, max_length=3, description="ISO 4217")
    properties: dict[str, Any] | None = Field(None, description=_PROPERTIES)
    schema_version: int = Field(1, ge=1, le=MAX_INTEGER)


class Page(BaseModel):
    """The page fields of schema_version 2."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    url: str | None = Field(None, description=_URL)
    referrer: str | None = None


class RawEventV2(BaseModel):
    """A raw event, schema_version 2: `value` is `amount`, and the page's fields stand under `page`."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    event_id: str = Field(min_length=1, max_length=MAX_EVENT_ID)
    site_id: int = Field(gt=0, le=MAX_INTEGER)
    script_id: str = Field(min_length=1, max_length=MAX_SCRIPT_ID)
    event_type: str = Field(min_length=1, max_length=MAX_EVENT_TYPE)
    occurred_at: Instant
    sent_at: Instant | None = None
    session_id: str | None = None
    visitor_id: str | None = None
    page: Page | None = None
    user_agent: str | None = None
    amount: Amount | None = None
    currency: str | None = Field(None, min_length=3, max_length=3)
    properties: dict[str, Any] | None = Field(None, description=_PROPERTIES)
    schema_version: int = Field(2, ge=2, le=2)


ABSENT: Final = msgspec.Raw(b"null")
"""JSON text of a field that is not there: absent and null mean the same."""


class RawFields(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The decoded form of version 1 for the hot path; a property test holds it equal to RawEvent.

    What the gateway's headers may fill is optional here; `value` and `properties` are the JSON text as it came.
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
    currency: Annotated[str, msgspec.Meta(min_length=3, max_length=3)] | None = None
    properties: msgspec.Raw = ABSENT
    schema_version: Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)] = 1
