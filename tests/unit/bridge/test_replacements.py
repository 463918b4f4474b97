"""A plan's report of the old values that its correction replaces."""

import json

import pytest
from support.events.making import BOUNDS, NOW_MS, RAW, REGISTRY, body
from support.pieces import at_once

from bridge.cli.dlq.replays import print_report
from bridge.jobs.replacements import MOST_OF_A_SITE, MOST_SAMPLES, Replacements
from schemas.documents.replay import DeadLetterItem, PlanReport, Replaced
from schemas.instants import instant
from schemas.pipeline.record import Provenance, RawBody
from streams.rules.correction import Correction, read_correction
from streams.rules.replay_rules import Terms, judge

TERMS = Terms("6f2d1e34", force=False, max_lives=3, month_exists=lambda _moment: True)
EUR = read_correction(["currency=EUR"], None)


def item(position: int, site_id: int, org_id: int | None, value: bytes) -> DeadLetterItem:
    return DeadLetterItem(
        position, Provenance(RAW, 0, position), site_id, RawBody(b"k", value, ()), instant(NOW_MS), "schema_violation",
        "currency", "schema_violation", "open", None, None, None, 1, org_id,
    )  # fmt: skip


def counted(correction: Correction, *items: DeadLetterItem) -> Replacements:
    found = Replacements()
    for one in items:
        found.add(at_once(judge(one, correction, TERMS, REGISTRY, BOUNDS)))
    return found


def storm(count: int, first: int, site_id: int, org_id: int, **fields: object) -> list[DeadLetterItem]:
    return [item(first + number, site_id, org_id, body(**fields)) for number in range(count)]


def test_a_constant_over_several_values_and_organisations_is_told_and_warned_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each site and old value has a sample, regardless of the plan's order."""
    found = counted(EUR, *storm(5, 0, 21, 2, currency="DOLLAR"), *storm(3, 5, 11, 1, currency="EURO"))
    assert found.told() == [
        Replaced(field="currency", value='"DOLLAR"', new='"EUR"', site_id=21, org_id=2, items=5),
        Replaced(field="currency", value='"EURO"', new='"EUR"', site_id=11, org_id=1, items=3),
    ]
    assert [("DOLLAR" in str(one.diff), "EURO" in str(one.diff)) for one in found.samples] == [
        (True, False),
        (False, True),
    ]
    values, orgs = found.warnings()
    assert 'currency: "EUR" would replace 2 different values' in values
    assert "2 organisations (1, 2)" in orgs
    print_report(PlanReport(items=8, replaced=found.told(), warnings=found.warnings()))
    said = " ".join(capsys.readouterr().out.split())
    assert 'currency: "DOLLAR" 5 21 2 "EUR"' in said
    assert 'warning: currency: "EUR" would replace 2 different values' in said


def test_one_value_of_one_organisation_warns_of_nothing() -> None:
    """Values that are already right and fields that every item lacks do not warn either."""
    sites = (*storm(2, 0, 11, 1, currency="EURO"), *storm(2, 2, 12, 1, currency="EURO"))
    found = counted(EUR, *sites, *storm(1, 4, 12, 1, currency="EUR"))
    assert (len(found.samples), found.warnings(), sum(one.items for one in found.told())) == (3, [], 4)
    missing = counted(EUR, *storm(2, 0, 11, 1))
    assert ([(one.value, one.items) for one in missing.told()], missing.warnings()) == ([("missing", 2)], [])


def test_values_that_are_computed_are_sampled_and_not_counted() -> None:
    """Each value is unique, so only several organisations give a warning."""
    seconds = [item(number, 11, number % 2 + 1, body(occurred_at=NOW_MS // 1000 + number)) for number in range(9)]
    found = counted(read_correction(["occurred_at=milliseconds()"], None), *seconds)
    assert (len(found.samples), found.told(), len(found.warnings())) == (MOST_OF_A_SITE, [], 1)


def test_many_values_leave_room_for_other_sites() -> None:
    """A site has a few samples, and long values with a common start are distinct."""
    long = [item(number, 11, 1, body(currency="x" * 200 + str(number))) for number in range(50)]
    found = counted(EUR, *long, *(one for site in range(20) for one in storm(1, 50 + site, 20 + site, 1, currency="E")))
    assert len(found.samples) == MOST_SAMPLES
    assert sum("x" in str(one.diff) for one in found.samples) == MOST_OF_A_SITE
    assert "51 different values" in found.warnings()[0]


def test_the_values_that_are_kept_of_a_field_are_limited() -> None:
    """The old values of many fields would fill memory otherwise."""
    found = counted(EUR, *(item(number, 11, 1, body(currency=str(number))) for number in range(150)))
    assert "at least 100 different values" in found.warnings()[0]


@pytest.mark.parametrize(
    ("operation", "value", "old"),
    [
        ({"op": "add", "path": "/a/b", "value": 1}, {"a": {"b": "x"}}, ("a.b", '"x"', "1")),
        ({"op": "replace", "path": "/a/0", "value": 1}, {"a": [5]}, ("a.0", "5", "1")),
        ({"op": "add", "path": "/a/0", "value": 1}, {"a": [5]}, None),
        ({"op": "add", "path": "/a/-", "value": 1}, {"a": [5]}, None),
        ({"op": "add", "path": "/a", "value": 1}, {"a": {"b": [1, 2]}}, ("a", '{"b": [1, 2]}', "1")),
        ({"op": "compute", "path": "/a", "expression": "text()"}, {"a": 7}, ("a", "7", None)),
        ({"op": "remove", "path": "/a"}, {"a": 7}, None),
        ({"op": "add", "path": "/a", "value": None}, {"a": None}, None),
    ],
)
def test_what_an_operation_replaces(
    operation: dict[str, object], value: object, old: tuple[str, str, str | None] | None
) -> None:
    """The report shows the original spelling; an insertion into an array replaces nothing."""
    correction = Correction([operation])
    found = at_once(correction.replaced(RawBody(None, json.dumps(value).encode(), ())))
    assert [(one.field, one.text, one.new) for one in found] == ([] if old is None else [old])
