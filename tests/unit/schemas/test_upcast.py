"""Versions of the document, and where unknown fields go."""

from typing import Any

import pytest
from support.making import document

from schemas.raw_event import RawEvent
from schemas.upcast import UPCASTERS, with_extra


def test_version_1_stays_as_it_is() -> None:
    """The very document."""
    made = document()
    assert UPCASTERS[1](made) is made


def test_version_2_renames_the_amount_and_opens_the_page() -> None:
    """`amount` was `value`; `page` holds `url` and `referrer`; what else it holds is kept."""
    made = document(schema_version=2, amount="1.5", page={"url": "u", "referrer": "r", "title": "t"})
    upcast = UPCASTERS[2](made)
    assert (upcast["value"], upcast["url"], upcast["referrer"]) == ("1.5", "u", "r")
    assert upcast["page"] == {"title": "t"}
    assert "amount" not in upcast
    assert made["page"] == {"url": "u", "referrer": "r", "title": "t"}, "the given document is left alone"
    RawEvent.model_validate(with_extra(upcast))


@pytest.mark.parametrize("page", [None, {}, {"url": "u"}])
def test_a_page_that_is_used_up_leaves_nothing(page: Any) -> None:
    """Nothing of it is left to be unknown."""
    assert "page" not in UPCASTERS[2](document(page=page))


def test_a_page_of_another_type_is_unknown_data() -> None:
    """It is kept as it came."""
    assert with_extra(UPCASTERS[2](document(page="p")))["properties"] == {"_extra": {"page": "p"}}


def test_unknown_fields_are_kept_in_properties() -> None:
    """Under `_extra`, beside what the producer put there himself."""
    made = with_extra(document(colour="red", properties={"a": 1, "_extra": "mine"}))
    assert made["properties"] == {"a": 1, "_extra": {"colour": "red", "_extra": "mine"}}
    assert "colour" not in made


def test_without_unknown_fields_nothing_is_touched() -> None:
    """The very document."""
    made = document(properties={"a": 1})
    assert with_extra(made) is made


def test_properties_of_another_type_stay_for_the_contract_to_refuse() -> None:
    """Unknown fields have nowhere to go then."""
    assert with_extra(document(colour="red", properties=[1]))["properties"] == [1]
