"""The filter of dead letters, which every command and the HTTP API share."""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, Self, TypeAlias, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, model_validator

from schemas.events.raw_event import MAX_INTEGER, parse_instant
from schemas.pipeline.record import Provenance
from schemas.pipeline.sender import Sender
from schemas.reasons import DroppedReason, ErrorClass

T = TypeVar("T")

_AGE = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_AGE_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_CAUSE = re.compile(r"[0-9a-f]{4,16}")
_TO_LOWER: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")

CAUSE_DIGITS: Final = 16
"""The number of hexadecimal digits of a cause's key; fewer digits are a prefix.

A cause is a group of dead letters with one reason and one normalised message.
"""

UNREADABLE_SITE: Final = 0
"""The site id that a filter uses for dead letters whose site can't be read."""


class Disposition(StrEnum):
    """What operators have done with a dead letter. A duplicate has no disposition, because nothing of it was stored."""

    OPEN = "open"
    CLAIMED = "claimed"  # a replay is about to publish it
    REPLAYED = "replayed"
    DISCARDED = "discarded"


def moment(text: str, now: datetime) -> datetime:
    """Return the time that is an age such as `2h` before `now`, or the time of RFC 3339 text.

    Raises ValueError with both forms.
    """
    age = _AGE.fullmatch(text)
    try:
        return _of_utc(parse_instant(text) if age is None else now - timedelta(**{_AGE_UNITS[age[2]]: int(age[1])}))
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text[:40]!r} is no time: give an age such as 30m, 2h or 7d, or RFC 3339 such as 2026-11-21T14:00:00Z"
        ) from None


def ascii_lower(text: str) -> str:
    """Return the text with ASCII letters in lower case, as Postgres does in its C collation."""
    return text.translate(_TO_LOWER)


def _of_utc(at: datetime) -> datetime:
    """Return the time unchanged; raises ValueError if, in UTC, it is outside the years 1 to 9999."""
    try:
        at.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time must be within the years 1 to 9999 of UTC") from None
    return at


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("contains a NUL, which Postgres' text can't")
    return text


def _cause(text: str) -> str:
    if _CAUSE.fullmatch(text) is None:
        raise ValueError(
            f"{text[:40]!r} is no group's key: 16 hexadecimal digits, as `bridge dlq groups` shows them, or the first 4 of them"
        )
    return text


def _provenance(text: str) -> str:
    return str(Provenance.parse(text))


_Text = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_storable)]
_SiteId = Annotated[int, Field(ge=UNREADABLE_SITE, le=MAX_INTEGER)]
_OrgId = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
_Attempt = Annotated[int, Field(ge=1, le=1000)]
_Cause = Annotated[str, AfterValidator(_cause)]
_Place = Annotated[str, AfterValidator(_provenance)]
_Time = Annotated[AwareDatetime, AfterValidator(_of_utc)]
_Some: TypeAlias = Annotated[tuple[T, ...], Field(min_length=1)] | None


class DeadLetterFilter(BaseModel, frozen=True, extra="forbid"):
    """A filter of dead letters. Every field that is set must match by one of its values; None matches all.

    Times are those of the drops, `since` included and `until` excluded. Events that were dropped as duplicates are no
    dead letters. They match only if their reason is named, and then with any disposition.
    """

    dropped_reason: _Some[DroppedReason] = Field(None, description="the reason for the drop")
    error_class: _Some[ErrorClass] = Field(None, description="class of the last error")
    cause: _Some[_Cause] = Field(None, description="key of a cause, as `groups` shows it, or a prefix of the key")
    site_id: _Some[_SiteId] = Field(None, description="site; 0: dead letters whose site can't be read")
    # An empty tuple means no organisation at all; None means no limit to organisations.
    org_ids: tuple[_OrgId, ...] | None = Field(None, description="organisation that the registry has for the site")
    script_id: _Some[_Text] = Field(None, description="script")
    sender: _Some[Sender] = Field(None, description="class of sender")
    event_id: _Some[_Text] = Field(None, description="the producer's id of the event")
    provenance: _Some[_Place] = Field(None, description="topic:partition:offset")
    attempt: _Some[_Attempt] = Field(None, description="the attempt that failed last, from 1")
    since: _Time | None = Field(None, description="dropped at or after")
    until: _Time | None = Field(None, description="dropped before")
    text: _Text | None = Field(
        None, description="text that the error contains; the case of ASCII letters does not matter"
    )
    disposition: _Some[Disposition] = Field(
        (Disposition.OPEN,), description="what operators have done with the dead letter; null: any disposition"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("until must be after since, else nothing can match")
        return self

    @property
    def names_nothing(self) -> bool:
        """Whether the filter selects every dead letter with its dispositions."""
        return all(getattr(self, name) is None for name in type(self).model_fields if name != "disposition")

    @property
    def begins_causes(self) -> bool:
        """Whether a cause is given by a prefix of its key, which must be resolved before the filter is used."""
        return any(len(one) < CAUSE_DIGITS for one in self.cause or ())

    @property
    def asks_for_duplicates(self) -> bool:
        """Whether the filter includes events that were dropped as duplicates."""
        return DroppedReason.DUPLICATE_EVENT_ID in (self.dropped_reason or ())
