"""Parameters of requests: the filter with times in human-readable form, pages, and the bodies of changes."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from bridge.dead_letters.export import Form
from schemas.documents.dead_letter_filter import DeadLetterFilter, Disposition, moment
from schemas.errors import InvalidInput
from schemas.events.raw_event import MAX_BYTES, MAX_INTEGER
from streams.rules.correction import Correction, computed, setting
from telemetry.printable import control_character

ANY: Final = "any"
_LONGEST_REASON: Final = 500
_MOST_OPERATIONS: Final = 100
# Each copy can double the document, which costs time for every dead letter before it is found too large.
_MOST_COPIES: Final = 8
_LONGEST_WAIT: Final = 24 * 3600.0
_LONGEST_CANCEL: Final = 60.0
# A slower replay would keep its place from others without limit.
_LEAST_RATE: Final = 0.1


def _moment(value: Any) -> Any:
    if value is None or isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("give an age such as 2h, or RFC 3339 text such as 2026-11-21T14:00:00Z")  # noqa: TRY004  # pydantic's
    return moment(value, datetime.now(UTC))


def _any(value: Any) -> Any:
    return None if value == ANY or (isinstance(value, list | tuple) and ANY in value) else value


def _plain(text: str) -> str:
    if (found := control_character(text)) is not None:
        raise ValueError(f"holds the control character {found}; give one line of plain text")
    return text


_Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_moment, json_schema_input_type=str),
    Field(examples=["2h", "2026-11-21T14:00:00Z"]),
]
_Dispositions = Annotated[
    tuple[Disposition, ...] | None,
    BeforeValidator(_any, json_schema_input_type=list[str] | str | None),
]
_Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=_LONGEST_REASON),
    AfterValidator(_plain),
]
Given = Annotated[_Reason, Field(min_length=1, description="the reason, kept in the history")]
Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]


class Filter(DeadLetterFilter):
    """The filter of every verb; a time is RFC 3339 or an age such as `2h`, and the disposition may be `any`."""

    since: _Moment | None = Field(None, description="dropped at or after: RFC 3339, or an age such as 2h")
    until: _Moment | None = Field(None, description="dropped before: RFC 3339, or an age such as 2h")
    disposition: _Dispositions = Field(
        (Disposition.OPEN,), min_length=1, description=f"what operators did with it: {', '.join(Disposition)}, or {ANY}"
    )

    @property
    def chosen(self) -> DeadLetterFilter:
        """Return the filter alone, without the other parameters of a query."""
        return DeadLetterFilter(**{name: getattr(self, name) for name in DeadLetterFilter.model_fields})


class ListQuery(Filter):
    """Parameters of a page of dead letters."""

    limit: int = Field(50, ge=1, le=1000, description="most lines of the page")
    after: str | None = Field(None, max_length=400, description="start after the previous page: its `next`")


class GroupsQuery(Filter):
    """Parameters of the groups of dead letters."""

    limit: int = Field(20, ge=1, le=1000, description="most groups, and most repeated events")
    hours: int = Field(6, ge=1, le=72, description="count the drops of each of this many last hours")


class ExportQuery(Filter):
    """Parameters of an export of whole dead letters."""

    format: Form = Field(Form.NDJSON, description="lines of JSON, or CSV with a header")


class Body(BaseModel):
    """The body of a request; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DiscardBody(Body):
    """Which dead letters are closed, and why."""

    reason: Given
    filter: Filter = Field(default_factory=Filter)
    all: bool = Field(False, description="everything that is open, if the filter names nothing; for admins")
    persisted: bool = Field(
        False,
        description="only those whose events are persisted, sent again by their producers; they count as sent again",
    )
    dry_run: bool = Field(False, description="count only")


class PlanBody(Body):
    """The items of a replay, and the corrections that are applied to them."""

    filter: Filter = Field(default_factory=Filter)
    all: bool = Field(False, description="everything that is open, if the filter names nothing; for admins")
    limit: int | None = Field(None, ge=1, le=MAX_INTEGER, description="at most this many, the oldest first")
    passing: bool = Field(False, description="leave out dead letters that today's code would drop again")
    set: dict[str, Any] = Field(default_factory=dict, description="fields to be corrected, with their values")
    compute: dict[str, str] = Field(
        default_factory=dict,
        description="fields to be computed from what was sent, with their expressions, such as *1000",
        examples=[{"occurred_at": "milliseconds()", "value": "number()|*0.01|round(2)"}],
    )
    patch: list[dict[str, Any]] = Field(
        default_factory=list,
        max_length=_MOST_OPERATIONS,
        description="a JSON Patch (RFC 6902) to correct each event by; its operation `compute` takes an `expression`",
    )
    reason: _Reason = Field("", description="the reason; required for a correction")
    dry_run: bool = Field(False, description="keep no plan")

    def correction(self) -> Correction:
        """Return the correction: the patch first, then the fields that are set, then the computed ones.

        Raises InvalidInput.
        """
        operations = [*self.patch, *(setting(field, value) for field, value in self.set.items())]
        for field, expression in self.compute.items():
            operations += computed(field, expression)
        if len(operations) > _MOST_OPERATIONS:
            raise InvalidInput(f"at most {_MOST_OPERATIONS} corrections")
        if sum(one.get("op") == "copy" for one in operations) > _MOST_COPIES:
            raise InvalidInput(f"a patch may copy at most {_MOST_COPIES} times")
        try:
            # The first call rejects NaN and infinity, the second rejects invalid Unicode.
            json.dumps(operations, allow_nan=False)
            text = msgspec.json.encode(operations)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            raise InvalidInput(
                "the corrections contain a lone surrogate, NaN or Infinity, which JSON can't; remove it"
            ) from None
        if len(text) > MAX_BYTES:
            raise InvalidInput(f"the corrections come to more than {MAX_BYTES} bytes, which no event may have")
        correction = Correction(operations)
        if correction and not self.reason:
            raise InvalidInput("reason: a correction needs one")
        return correction


class ReplayBody(Body):
    """How a plan's dead letters are sent."""

    rate_per_second: float | None = Field(
        None,
        ge=_LEAST_RATE,
        le=1_000_000,
        description="send at most this many; null: as many as their outcomes arrive, with 200 in flight",
    )
    canary: Count = Field(0, description="send this many first, and the rest once these became rows")
    canary_max_failures: Count = Field(
        0, description="how many of the canary may be dropped again; a larger number lets a failed canary pass"
    )
    wait_seconds: float = Field(
        300, ge=0, le=_LONGEST_WAIT, description="how long the run waits for the outcomes, and for those of the canary"
    )
    force: bool = Field(
        False, description="also dead letters that were replayed before, but none that is claimed; for admins"
    )
    dry_run: bool = Field(False, description="send nothing: report what today's code would do with them now")


class CancelBody(Body):
    """Why a replay is stopped permanently."""

    reason: Given
    wait_seconds: float = Field(10, ge=0, le=_LONGEST_CANCEL, description="how long its run may take to stop")
