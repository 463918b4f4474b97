"""Conversion of a mapping to an event, and its checks."""

import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from bridge.client import event as limits
from bridge.client.event import make_event
from schemas.errors import InvalidInput
from schemas.events import raw_event
from streams.pipeline.decode import decode


def test_what_is_absent_is_filled_in_and_what_is_given_is_kept() -> None:
    """Id and time are generated unless given; None is absent."""
    bare = json.loads(make_event({"event_type": "view", "url": None}).body)
    whole = make_event({"event_type": "view", "event_id": "mine", "occurred_at": 5})

    assert set(bare) == {"event_type", "event_id", "occurred_at"}
    assert (whole.event_id, json.loads(whole.body)["occurred_at"]) == ("mine", 5)


def test_the_stream_takes_what_is_made() -> None:
    """Times, amounts and ids of Python's own types meet the contract."""
    made = make_event(
        {
            "event_type": "purchase",
            "occurred_at": datetime(2026, 2, 10, 14, 30, tzinfo=UTC),
            "value": Decimal("19.90"),
            "currency": "EUR",
            "properties": {"order": uuid.UUID(int=7), "name": "café\n"},
            "site_id": 7,
            "script_id": "shop",
        }
    )
    fields = decode(made.body, None)

    assert b"\n" not in made.body
    assert (fields.event_id, bytes(fields.value)) == (made.event_id, b'"19.90"')
    assert fields.occurred_at == datetime(2026, 2, 10, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "event_type"),
        ({"event_type": ""}, "event_type"),
        ({"event_type": "x" * 65}, "event_type"),
        ({"event_type": "x", "event_id": 7}, "event_id"),
        ({"event_type": "x", "event_id": "y" * 129}, "event_id"),
        ({"event_type": "x", "properties": {"a": float("nan")}}, "as JSON"),
        ({"event_type": "x", "properties": {"a": object()}}, "object can.t be represented in JSON"),
        ({"event_type": "x", "properties": {"a": "\ud800"}}, "as JSON"),
        ({"event_type": "x", "occurred_at": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001  # the error under test
        ({"event_type": "x", "properties": {"a": "y" * 70_000}}, "70"),
    ],
)
def test_what_no_stream_would_take_is_refused_at_once(fields: dict[str, object], says: str) -> None:
    """The caller gets an exception instead of a later dead letter."""
    with pytest.raises(InvalidInput, match=says):
        make_event(fields)


def test_the_bounds_are_the_contracts() -> None:
    """The limits are defined twice, because the contract's module requires pydantic."""
    assert (limits.MAX_EVENT_BYTES, limits.MAX_EVENT_ID, limits.MAX_EVENT_TYPE) == (
        raw_event.MAX_BYTES,
        raw_event.MAX_EVENT_ID,
        raw_event.MAX_EVENT_TYPE,
    )
