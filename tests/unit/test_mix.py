"""The demonstration's mix: reproducible, and each record has its intended outcome."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random

import pytest
from support.events.sealed import TRUST

from bridge.dev.demo.documents import make_document
from bridge.dev.demo.figures import Outcome
from bridge.dev.demo.flaws import INVALID, VIOLATIONS, encode
from bridge.dev.demo.mix import SHARES, Kind, Mix, MixRecord
from bridge.dev.demo.verdict import differences
from schemas.errors import InvalidInput
from schemas.kafka.headers import EVENT_ID, SITE_ID, last
from schemas.pipeline.record import Provenance
from schemas.pipeline.registry import Script
from schemas.reasons import DroppedReason, ErrorClass
from streams.pipeline.decode import decode
from streams.pipeline.normalize import Bounds, normalize
from streams.pipeline.rejection import Rejection

START_MS = 1_770_733_801_000
BOUNDS = Bounds(timedelta(days=7), timedelta(hours=1))
ERRORS = {
    Kind.GOOD: None,
    Kind.DUPLICATE: None,
    Kind.INVALID: ErrorClass.INVALID_PAYLOAD_JSON,
    Kind.VIOLATION: ErrorClass.SCHEMA_VIOLATION,
    Kind.LATE: ErrorClass.UNKNOWN_SCRIPT,
    Kind.UNKNOWN: ErrorClass.UNKNOWN_SCRIPT,
}


def judge(mix: Mix, value: bytes | None, headers: list[tuple[str, bytes | None]]) -> ErrorClass | None:
    """The stream's outcome of the value if only the mix's first scripts are registered."""
    registry = {one.script_id: Script(one.script_id, one.site_id, one.org_id, True) for one in mix.scripts}
    try:
        normalize(
            decode(value, TRUST.of_raw(dict(headers), value, START_MS).checked()),
            received_at=datetime.fromtimestamp(START_MS / 1000, UTC),
            provenance=Provenance("raw", 0, 0),
            attempt=1,
            registry=registry,
            bounds=BOUNDS,
        )
    except Rejection as rejection:
        return rejection.error_class
    return None


def identity(record: MixRecord) -> tuple[str, str]:
    """Site and event id, read without the product's own decoder."""
    document = json.loads(record.value or b"{}")
    site = last(record.headers, SITE_ID) or document["site_id"]
    return str(site), last(record.headers, EVENT_ID) or document["event_id"]


def test_the_same_seed_and_start_make_the_same_records() -> None:
    """A mix is reproducible to the byte, and another seed makes another one."""
    first, again, other = (list(Mix(500, seed, START_MS)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize("count", [1, 2, 7, 100, 3000])
def test_the_expectation_counts_what_is_in_the_mix(count: int) -> None:
    """The expected rows are the distinct keys of valid events, and every other record is a drop with its reason."""
    mix = Mix(count, 11, START_MS)
    records = list(mix)
    kinds = Counter(record.kind for record in records)
    expected = mix.expectation()
    sound = [record for record in records if record.kind in (Kind.GOOD, Kind.DUPLICATE, Kind.LATE)]
    assert len(records) == count
    assert expected.normalized == len({identity(record) for record in sound})
    assert expected.dropped.get(DroppedReason.DUPLICATE_EVENT_ID, 0) == len(sound) - expected.normalized
    assert expected.dropped.get(DroppedReason.INVALID_PAYLOAD_JSON, 0) == kinds[Kind.INVALID]
    assert expected.dropped.get(DroppedReason.SCHEMA_VIOLATION, 0) == kinds[Kind.VIOLATION]
    assert expected.dropped.get(DroppedReason.RETRY_EXHAUSTED, 0) == kinds[Kind.UNKNOWN]
    assert expected.normalized + sum(expected.dropped.values()) == count


def test_each_record_is_judged_as_what_it_was_made_to_be() -> None:
    """The stream's own decoder and normaliser agree with every record's kind."""
    mix = Mix(3000, 5, START_MS)
    for record in mix:
        assert judge(mix, record.value, record.headers) == ERRORS[record.kind], record


@pytest.mark.parametrize("number", range(len(INVALID)))
def test_each_broken_value_is_not_a_json_object(number: int) -> None:
    mix = Mix(1, 1, START_MS)
    document = make_document(mix.scripts[0], START_MS, Random(number))
    assert judge(mix, INVALID[number](document), []) is ErrorClass.INVALID_PAYLOAD_JSON


@pytest.mark.parametrize("number", range(len(VIOLATIONS)))
def test_each_violation_breaks_the_contract(number: int) -> None:
    """Each violation of the catalogue is valid JSON that the contract refuses, in both schema versions."""
    mix = Mix(1, 1, START_MS)
    for seed in range(20):
        document = make_document(mix.scripts[0], START_MS, Random(seed))
        assert judge(mix, encode(VIOLATIONS[number](document)), []) is ErrorClass.SCHEMA_VIOLATION


def test_the_mix_has_every_kind_and_both_versions_near_and_far() -> None:
    """A small mix has all kinds, both schema versions, several sites, and duplicates with and without a key."""
    records = list(Mix(2000, 7, START_MS))
    kinds = Counter(record.kind for record in records)
    versions = {json.loads(one.value or b"").get("schema_version", 1) for one in records if one.kind is Kind.GOOD}
    duplicates = [record for record in records if record.kind is Kind.DUPLICATE]
    assert kinds.keys() == set(Kind)
    for kind, share in SHARES.items():
        assert kinds[kind] == pytest.approx(2000 * share, abs=1)
    assert versions == {1, 2}
    assert len({identity(one)[0] for one in records if one.kind is Kind.GOOD}) > 10
    assert {record.key is None for record in duplicates} == {True, False}


def test_a_large_mix_is_made_as_it_is_read() -> None:
    """Taking the first records of a million makes no more than those."""
    assert len(list(islice(Mix(1_000_000, 7, START_MS), 100))) == 100


def test_a_mix_of_nothing_is_refused() -> None:
    """A count below 1 is bad input."""
    with pytest.raises(InvalidInput, match="at least 1"):
        Mix(0, 7, START_MS)


def test_differences_name_the_figure_that_is_off() -> None:
    """A missing row, an extra drop and a missing heal each have a line of their own."""
    expected = Mix(1000, 7, START_MS).expectation()
    dropped = {reason.value: count for reason, count in expected.dropped.items()}
    assert differences(expected, Outcome(expected.normalized, 1, dropped)) == []
    found = differences(expected, Outcome(expected.normalized - 1, 0, {**dropped, "sink_rejected_row": 1}))
    assert [line.split(":")[0] for line in found] == ["normalised", "healed by a retry", "dropped as sink_rejected_row"]
