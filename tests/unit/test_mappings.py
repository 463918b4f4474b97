"""The mappings of docs/producers/mappings.md as written: each payload becomes the expected row."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import asdict
from support.events.making import BOUNDS, REGISTRY
from support.payloads import RECEIVED_MS, Case, cases, mappings, raw_event, shown, wrong_columns

from bridge.reference.documents import contracts
from schemas.instants import instant
from schemas.kafka.vouched import Vouched
from schemas.pipeline.record import Provenance
from schemas.pipeline.sender import Sender
from streams.pipeline.reading import read_event

CASES = list(cases())


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    return mappings()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.source}: {case.name}")
def test_each_payload_becomes_its_row(case: Case, page: dict[str, Any]) -> None:
    """The gateway adds site and script."""
    event = read_event(
        raw_event(case, page),
        Vouched(1, "shop", Sender.SERVER),
        instant(RECEIVED_MS),
        Provenance("t", 0, 0),
        REGISTRY,
        BOUNDS,
    )

    assert not wrong_columns(case, shown(asdict(event)))


def test_payloads_are_of_all_sources() -> None:
    """There are at least 60, ten for each source, and no two are one event."""
    page = mappings()
    ids = {json.loads(raw_event(case, page))["event_id"] for case in CASES}
    assert len(ids) == len(CASES) >= 60
    for source in ("ga4", "javascript", "segment", "shopify", "snowplow", "woocommerce"):
        assert sum(case.source == source for case in CASES) >= 10


def test_a_payload_that_comes_again_has_the_same_id(page: dict[str, Any]) -> None:
    """A repeated payload counts once."""
    for case in CASES:
        first, again = (json.loads(raw_event(case, page))["event_id"] for _ in range(2))
        assert first == again


def test_the_published_schema_takes_them_all(page: dict[str, Any]) -> None:
    """Code and schema agree."""
    validator = Draft202012Validator(contracts()["raw_event_v1"])
    for case in CASES:
        event = json.loads(raw_event(case, page)) | {"site_id": 1, "script_id": "shop"}
        assert not list(validator.iter_errors(event)), case
