"""Parameters of requests: the filter with its times, pages, and the bodies of requests that change something."""

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
# Each copy can double the document. This takes time for every dead letter before the document is found too large.
_MOST_COPIES: Final = 8
_LONGEST_WAIT: Final = 24 * 3600.0
_LONGEST_CANCEL: Final = 60.0
# A slower replay would occupy its place almost without end.
_LEAST_RATE: Final = 0.1


def _moment(value: Any) -> Any:
    if value is None or isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("the time is invalid; give an age such as 2h, or RFC 3339 text such as 2026-11-21T14:00:00Z")  # noqa: TRY004  # pydantic's
    return moment(value, datetime.now(UTC))


def _any(value: Any) -> Any:
    return None if value == ANY or (isinstance(value, list | tuple) and ANY in value) else value


def _plain(text: str) -> str:
    if (found := control_character(text)) is not None:
        raise ValueError(f"contains the control character {found}; give one line of plain text")
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
    """The filter of every verb. A time is RFC 3339 or an age such as `2h`; the disposition (state) may be `any`."""

    since: _Moment | None = Field(None, description="dropped at this time or later: RFC 3339, or an age such as 2h")
    until: _Moment | None = Field(None, description="dropped before this time: RFC 3339, or an age such as 2h")
    disposition: _Dispositions = Field(
        (Disposition.OPEN,),
        min_length=1,
        description=f"the state of the dead letter: {', '.join(Disposition)}, or {ANY}",
    )

    @property
    def chosen(self) -> DeadLetterFilter:
        """Return the filter alone, without the other parameters of the query."""
        return DeadLetterFilter(**{name: getattr(self, name) for name in DeadLetterFilter.model_fields})


class ListQuery(Filter):
    """Parameters of a page of dead letters."""

    limit: int = Field(50, ge=1, le=1000, description="most dead letters on the page")
    after: str | None = Field(
        None, max_length=400, description="continue after the previous page: the value of its `next`"
    )


class GroupsQuery(Filter):
    """Parameters of the groups of dead letters."""

    limit: int = Field(20, ge=1, le=1000, description="most groups, and most repeated events")
    hours: int = Field(6, ge=1, le=72, description="number of past hours whose drops are counted, hour by hour")


class ExportQuery(Filter):
    """Parameters of an export of whole dead letters."""

    format: Form = Field(Form.NDJSON, description="lines of JSON, or CSV with a header")


class Body(BaseModel):
    """The body of a request; an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DiscardBody(Body):
    """The dead letters to close, and the reason."""

    reason: Given
    filter: Filter = Field(default_factory=Filter)
    all: bool = Field(False, description="select all open dead letters; needed if the filter is empty; for admins")
    persisted: bool = Field(
        False,
        description="only dead letters whose events are persisted because their producers sent them again; they get the state sent_again",
    )
    dry_run: bool = Field(False, description="count only")


class PlanBody(Body):
    """The dead letters of a plan, and the corrections that are applied to them."""

    filter: Filter = Field(default_factory=Filter)
    all: bool = Field(False, description="select all open dead letters; needed if the filter is empty; for admins")
    limit: int | None = Field(None, ge=1, le=MAX_INTEGER, description="most dead letters to plan, the oldest first")
    passing: bool = Field(False, description="leave out dead letters that today's code would drop again")
    set: dict[str, Any] = Field(default_factory=dict, description="fields to set, with their new values")
    compute: dict[str, str] = Field(
        default_factory=dict,
        description="fields to compute from the value that was sent, each with an expression such as *1000",
        examples=[{"occurred_at": "milliseconds()", "value": "number()|*0.01|round(2)"}],
    )
    patch: list[dict[str, Any]] = Field(
        default_factory=list,
        max_length=_MOST_OPERATIONS,
        description="a JSON Patch (RFC 6902) to apply to each event; it may have the operation `compute`, with an `expression`",
    )
    reason: _Reason = Field("", description="the reason; required for a correction")
    dry_run: bool = Field(False, description="keep no plan")

    def correction(self) -> Correction:
        """Return the correction: first the patch, then `set`, then `compute`. Raises InvalidInput."""
        operations = [*self.patch, *(setting(field, value) for field, value in self.set.items())]
        for field, expression in self.compute.items():
            operations += computed(field, expression)
        if len(operations) > _MOST_OPERATIONS:
            raise InvalidInput(f"the limit is {_MOST_OPERATIONS} corrections")
        if sum(one.get("op") == "copy" for one in operations) > _MOST_COPIES:
            raise InvalidInput(f"the limit is {_MOST_COPIES} copy operations in a patch")
        try:
            # json rejects NaN and infinity here; the encoding rejects invalid Unicode.
            json.dumps(operations, allow_nan=False)
            text = msgspec.json.encode(operations)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            raise InvalidInput(
                "the corrections contain a lone surrogate, NaN or Infinity, which JSON can't represent; remove it"
            ) from None
        if len(text) > MAX_BYTES:
            raise InvalidInput(f"the corrections have more than {MAX_BYTES} bytes, the limit of an event")
        correction = Correction(operations)
        if correction and not self.reason:
            raise InvalidInput("reason: missing; a correction needs a reason")
        return correction


class ReplayBody(Body):
    """How a plan's dead letters are sent."""

    rate_per_second: float | None = Field(
        None,
        ge=_LEAST_RATE,
        le=1_000_000,
        description="most items to send a second; at any rate, each 200 items are sent when the 200 before are committed",
    )
    canary: Count = Field(0, description="number of items to send first; the others follow when these have become rows")
    canary_max_failures: Count = Field(
        0, description="most items of the canary that may be dropped again; raise it to continue after a failed canary"
    )
    wait_seconds: float = Field(
        300,
        ge=0,
        le=_LONGEST_WAIT,
        description="most seconds to wait for the canary's outcomes, and at the end for all outcomes",
    )
    force: bool = Field(
        False,
        description="also send dead letters that were replayed before, unless another plan has claimed them; for admins",
    )
    dry_run: bool = Field(False, description="send nothing, and report what today's code would do with the items")


class CancelBody(Body):
    """Why a replay is cancelled."""

    reason: Given
    wait_seconds: float = Field(
        10, ge=0, le=_LONGEST_CANCEL, description="most seconds to wait for the plan's run to stop"
    )
