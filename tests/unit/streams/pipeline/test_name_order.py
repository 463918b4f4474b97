"""Sorted names of large objects: the order that Postgres stores, and the same values."""

import json
import random
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.events.making import body, judged, record

from streams.pipeline.name_order import FEW_NAMES, sorted_names

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.decimals(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12
)
FILLING = [f"name {number}" for number in range(FEW_NAMES + 1)]


def written(value: Any) -> str:
    """JSON with every number as it is."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)} : {written(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


def read(text: str) -> Any:
    """The values, with numbers as text."""
    return json.loads(text, parse_float=str, parse_int=str)


@given(st.dictionaries(NAMES, VALUES), st.randoms(use_true_random=False))
def test_names_are_sorted_and_values_stay(found: dict[str, Any], chosen: random.Random) -> None:
    """Large objects at every depth are sorted."""
    large = found | {name: chosen.choice([1, "a:b", []]) for name in chosen.sample(FILLING, len(FILLING))}
    text = written({"z": [{"deeper": large}], "a": 1})

    result = sorted_names(text)

    assert read(result) == read(text)
    (inner,) = read(result)["z"]
    assert list(read(result)) == ["z", "a"]
    assert list(inner["deeper"]) == sorted(large, key=lambda name: (len(name.encode()), name.encode()))


def test_few_names_stay_as_they_are_written() -> None:
    """Most events are not parsed again."""
    text = written(dict.fromkeys(reversed(FILLING[:FEW_NAMES]), 1.5))

    assert sorted_names(text) is text


def test_the_last_of_equal_names_is_kept() -> None:
    """Postgres keeps the last one too."""
    text = "{" + ",".join([*(f'"{name}":1' for name in FILLING), '"b":1', '"a":1', '"b":2.0'])

    assert sorted_names(text + "}").startswith('{"a":1,"b":2.0,')


def test_an_event_of_many_names_has_them_sorted() -> None:
    """Names that a sender has put in the worst order for Postgres' sort reach it sorted."""
    names = [f"{number:04x}" for number in range(5000)]
    random.Random(1).shuffle(names)
    value = body(properties=dict.fromkeys(names, 1))

    (candidate,) = judged(record(value=value)).candidates

    assert list(json.loads(candidate.event.properties)) == sorted(names)
