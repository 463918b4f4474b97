"""The plan: the same seed makes the same plan, and every plan can be carried out and proves something."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.faults.catalogue import CATALOGUE
from tools.faults.plan import AT_LEAST, LAST, LEAD, Kind, make_plan

PAGE = Path(__file__).resolve().parents[2] / "docs" / "development" / "faults.md"
KINDS = [fault.kind() for fault in CATALOGUE.values() if fault.quick]
seeds = st.integers(min_value=0, max_value=2**32)


@given(seeds, st.floats(min_value=60, max_value=3600))
def test_a_seed_makes_one_plan(seed: int, seconds: float) -> None:
    assert make_plan(seed, seconds, KINDS) == make_plan(seed, seconds, KINDS)


@given(seeds, st.floats(min_value=60, max_value=3600))
def test_faults_differ_and_end_before_the_load(seed: int, seconds: float) -> None:
    """A run has at least six kinds; none begins before the workers have batches or lasts to the end of the load."""
    plan = make_plan(seed, seconds, KINDS)
    kinds = {kind.name: kind for kind in KINDS}

    assert len({act.fault for act in plan.acts}) >= AT_LEAST
    for act in plan.acts:
        shortest, longest = kinds[act.fault].seconds
        assert LEAD * seconds <= act.start + 0.01
        assert act.end <= LAST * seconds + 0.02
        assert shortest - 0.01 <= act.seconds <= longest + 0.01


@given(seeds, st.floats(min_value=60, max_value=3600))
def test_two_faults_never_occupy_the_same_thing(seed: int, seconds: float) -> None:
    kinds = {kind.name: kind for kind in KINDS}
    acts = make_plan(seed, seconds, KINDS).acts
    for number, one in enumerate(acts):
        for other in acts[number + 1 :]:
            if kinds[one.fault].occupies & kinds[other.fault].occupies:
                assert one.end <= other.start or other.end <= one.start


def test_twenty_seeds_strike_with_everything() -> None:
    """Twenty runs include every fault of the quick form."""
    struck = {act.fault for seed in range(1, 21) for act in make_plan(seed, 60, KINDS).acts}

    assert struck == {kind.name for kind in KINDS}


def test_a_run_that_is_too_short_is_refused() -> None:
    kinds = [Kind(f"long-{number}", frozenset({"one"}), (30.0, 40.0)) for number in range(6)]
    with pytest.raises(ValueError, match="6 different faults don't fit into 60 s"):
        make_plan(1, 60, kinds)


def test_the_catalogue_is_whole() -> None:
    """Each fault has a docstring, occupied parts, a duration, and an entry on docs/development/faults.md."""
    page = PAGE.read_text()
    for name, fault in CATALOGUE.items():
        assert fault.__doc__, name
        assert fault.occupies, name
        assert f"`{name}`" in page, name
        assert 0 < fault.seconds[0] <= fault.seconds[1], name
