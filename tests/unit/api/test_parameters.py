"""The accepted parameters of requests."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from support.pieces import at_once

from bridge.api.parameters import CancelBody, DiscardBody, Filter, ListQuery, PlanBody, ReplayBody
from schemas.documents.dead_letter_filter import DeadLetterFilter, Disposition
from schemas.errors import InvalidInput
from schemas.pipeline.record import RawBody
from sinks.postgres.dead_letters.filter import conditions
from streams.rules.correction import CorrectionFailed


def test_times_are_ages_too() -> None:
    """The API takes the same forms as the command line."""
    age = Filter.model_validate({"since": "2h"}).chosen.since
    assert age is not None
    assert timedelta(hours=2) <= datetime.now(UTC) - age < timedelta(hours=2, seconds=10)
    assert Filter.model_validate({"until": "2026-11-21T14:00:00Z"}).until == datetime(2026, 11, 21, 14, tzinfo=UTC)
    for wrong in ("yesterday", "2026-11-21", "", 5.5, []):
        with pytest.raises(ValidationError):
            Filter.model_validate({"since": wrong})


def test_the_filter_alone() -> None:
    """Other query parameters are not part of the filter, so they select nothing."""
    query = ListQuery.model_validate({"limit": "10", "after": "x", "site_id": ["3"]})
    assert query.chosen == DeadLetterFilter(site_id=(3,))
    assert ListQuery.model_validate({"limit": "10"}).chosen.names_nothing
    assert Filter().chosen == DeadLetterFilter()
    for whatever in ("any", ["any"], ["open", "any"], None):
        assert Filter.model_validate({"disposition": whatever}).disposition is None
    assert Filter.model_validate({"disposition": ["open"]}).disposition == (Disposition.OPEN,)
    with pytest.raises(ValidationError):
        ListQuery.model_validate({"site": 3})


def test_reasons() -> None:
    """A reason is required for every change and must be storable."""
    assert DiscardBody.model_validate({"reason": "  a test "}).reason == "a test"
    for wrong in (
        {},
        {"reason": ""},
        {"reason": "  "},
        {"reason": "\x00"},
        {"reason": "x" * 501},
        {"reason": "\ud800"},
    ):
        with pytest.raises(ValidationError):
            DiscardBody.model_validate(wrong)


def test_corrections() -> None:
    """The patch comes before the fields; a reason is required, and the size is limited."""
    patch = [{"op": "remove", "path": "/a"}]
    body = PlanBody.model_validate({"set": {"properties.plan": "pro"}, "patch": patch, "reason": "plugin 3.2"})
    assert body.correction().operations == [*patch, {"op": "add", "path": "/properties/plan", "value": "pro"}]
    assert not PlanBody().correction()
    copies = [{"op": "copy", "from": "", "path": "/a"}] * 9
    for wrong, said in (
        ({"set": {"a": 1}}, "needs a reason"),
        ({"set": {"a/b": 1}, "reason": "x"}, "is not a field"),
        ({"set": {"a": "\ud800"}, "reason": "x"}, "which JSON can't"),
        ({"set": {"a": float("nan")}, "reason": "x"}, "which JSON can't"),
        ({"set": {"a": "\x00"}, "reason": "x"}, "NUL"),
        ({"patch": copies, "reason": "x"}, "limit is 8 copy operations"),
        ({"set": {"a": "x" * 70_000}, "reason": "x"}, "more than 65536 bytes"),
        ({"patch": [{"op": "fly", "path": "/a"}], "reason": "x"}, "not a JSON Patch"),
        ({"compute": {"a": "1000"}, "reason": "x"}, "^a: '1000' is not an expression"),
        ({"compute": {"a": "*2"}}, "needs a reason"),
        ({"compute": {str(number): "copy(b)" for number in range(9)}, "reason": "x"}, "limit is 8 copy operations"),
        ({"compute": {str(number): "*2" for number in range(101)}, "reason": "x"}, "limit is 100 corrections"),
    ):
        with pytest.raises(InvalidInput, match=said):
            PlanBody.model_validate(wrong).correction()


def test_computed_fields_come_last() -> None:
    """Computed fields use the command line's syntax, and set values are always constants."""
    body = {"set": {"note": "*2"}, "compute": {"id": "move(user.id)|text()", "at": "milliseconds()"}, "reason": "x"}
    assert PlanBody.model_validate(body).correction().operations == [
        {"op": "add", "path": "/note", "value": "*2"},
        {"op": "move", "from": "/user/id", "path": "/id"},
        {"op": "compute", "path": "/id", "expression": "text()"},
        {"op": "compute", "path": "/at", "expression": "milliseconds()"},
    ]


def test_replays() -> None:
    """The request's numbers have limits."""
    for wrong in (
        {"rate_per_second": 0},
        {"rate_per_second": 1e-300},
        {"canary": -1},
        {"wait_seconds": -1},
        {"wait_seconds": 10**6},
        {"rate": 5},
    ):
        with pytest.raises(ValidationError):
            ReplayBody.model_validate(wrong)


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31m", "a\x9b", "\u202eb", "a\x00b"])
@pytest.mark.parametrize("body", [CancelBody, DiscardBody, PlanBody])
def test_reason_with_a_control_character_is_refused(body: type[BaseModel], text: str) -> None:
    """Every body refuses it; surrounding blanks are removed first."""
    with pytest.raises(ValidationError, match="contains the control character U"):
        body.model_validate({"reason": text})
    assert body.model_validate({"reason": " déjà vu\n"}).model_dump()["reason"] == "déjà vu"


NOTHING = [None, [], "", {}, 0, False, [None], [[]], [""], [{}], [0], {"": None}, {"a": []}, "\x00", ["\x00"]]
BODIES: list[type[BaseModel]] = [DiscardBody, PlanBody, ReplayBody, CancelBody]
PATCHES = [
    {"op": "add", "path": "/a", "value": 1},
    {"op": "copy", "from": "/a", "path": "/b"},
    {"op": "compute", "path": "/a", "expression": "*2"},
]


@pytest.mark.parametrize("what", NOTHING, ids=repr)
@pytest.mark.parametrize(
    ("model", "field"), [(one, name) for one in [*BODIES, Filter] for name in one.model_fields], ids=str
)
def test_whatever_stands_in_a_field_is_taken_or_refused(model: type[BaseModel], field: str, what: Any) -> None:
    """Any valid value passes the whole route or is refused as the caller's error."""
    assert_taken_or_refused(model, {"reason": "x", field: what} if "reason" in model.model_fields else {field: what})
    if "filter" in model.model_fields:
        for name in Filter.model_fields:
            assert_taken_or_refused(model, {"reason": "x", "filter": {name: what}})


@pytest.mark.parametrize("what", NOTHING, ids=repr)
@pytest.mark.parametrize("member", ["op", "path", "from", "value", "expression"])
def test_whatever_stands_in_a_patch_is_taken_or_refused(member: str, what: Any) -> None:
    """Each member of each operation is accepted or refused, and so are set values."""
    assert_taken_or_refused(PlanBody, {"reason": "x", "set": {member: what}})
    for one in PATCHES:
        assert_taken_or_refused(PlanBody, {"reason": "x", "patch": [one | {member: what}]})
        without = {name: value for name, value in one.items() if name != member}
        assert_taken_or_refused(PlanBody, {"reason": "x", "patch": [without]})


def assert_taken_or_refused(model: type[BaseModel], asked: dict[str, Any]) -> None:
    """Process the value as the routes do."""
    try:
        body: Any = model.model_validate(asked)
    except ValidationError:
        return
    chosen = body if isinstance(body, Filter) else getattr(body, "filter", Filter())
    assert conditions(chosen.chosen).text
    if isinstance(body, PlanBody):
        with suppress(InvalidInput, CorrectionFailed):
            at_once(body.correction().apply(RawBody(None, b'{"a":[1]}', ())))
