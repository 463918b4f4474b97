"""Versions of the document, and the place of unknown fields."""

from typing import Any

import pytest
from support.events.making import document

from schemas.events.raw_event import RawEvent
from schemas.events.upcast import upcast


def test_version_1_stays_as_it_is() -> None:
    """The result is the same object."""
    made = document()
    assert upcast(made) is made


def test_version_2_renames_the_amount_and_opens_the_page() -> None:
    """`amount` was `value`; `page` holds `url` and `referrer`, and its other members are kept."""
    made = document(schema_version=2, amount="1.5", page={"url": "u", "referrer": "r", "title": "t"})
    fields = upcast(made, 2)
    assert (fields["value"], fields["url"], fields["referrer"]) == ("1.5", "u", "r")
    assert fields["properties"] == {"_extra": {"page": {"title": "t"}}}
    assert "amount" not in fields
    assert made["page"] == {"url": "u", "referrer": "r", "title": "t"}, "the given document is left alone"
    RawEvent.model_validate(fields)


@pytest.mark.parametrize("page", [None, {}, {"url": "u"}])
def test_a_page_that_is_used_up_leaves_nothing(page: Any) -> None:
    """No empty page remains among the unknown fields."""
    assert "properties" not in upcast(document(page=page), 2)


def test_a_page_of_another_type_is_unknown_data() -> None:
    """A `page` of another type is kept unchanged."""
    assert upcast(document(page="p"), 2)["properties"] == {"_extra": {"page": "p"}}


def test_names_that_version_2_does_not_have_are_unknown_data() -> None:
    """Version 1's names in a version 2 document neither override its own nor get lost."""
    made = document(schema_version=2, amount="1.5", value="9", url="x", page={"url": "u"}, colour="red")
    fields = upcast(made, 2)
    assert (fields["value"], fields["url"]) == ("1.5", "u")
    assert fields["properties"]["_extra"] == {"value": "9", "url": "x", "colour": "red"}


def test_unknown_fields_are_kept_in_properties() -> None:
    """Unknown fields go under `_extra`, beside the producer's own properties."""
    made = upcast(document(colour="red", properties={"a": 1, "_extra": "mine"}))
    assert made["properties"] == {"a": 1, "_extra": {"colour": "red", "_extra": "mine"}}
    assert "colour" not in made


def test_without_unknown_fields_nothing_is_touched() -> None:
    """The result is the same object."""
    made = document(properties={"a": 1})
    assert upcast(made) is made


def test_properties_of_another_type_stay_for_the_contract_to_refuse() -> None:
    """Unknown fields have no place then."""
    assert upcast(document(colour="red", properties=[1]))["properties"] == [1]
