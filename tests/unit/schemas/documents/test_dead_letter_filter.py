"""The filter of dead letters: accepted values, selected dead letters, and both forms of times."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from schemas.documents.dead_letter_filter import DeadLetterFilter, Disposition, moment

NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-11-21T13:30:00Z", NOW - timedelta(minutes=30)),
        ("2026-11-21T15:00:00+01:00", NOW),
    ],
)
def test_a_time_is_an_age_or_rfc_3339(text: str, meant: datetime) -> None:
    """Ages count from now."""
    assert moment(text, NOW) == meant


@pytest.mark.parametrize(
    "text",
    [
        "", "2", "2 h", "-2h", "2h30m", "yesterday", "2026-11-21", "2026-11-21T14:00:00", "999999d", "٢h",
        "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59",
    ],
)  # fmt: skip
def test_anything_else_is_no_time_and_the_error_says_which_are(text: str) -> None:
    """A time without an offset is ambiguous."""
    with pytest.raises(ValueError, match=r"is no time: give an age such as 30m, 2h or 7d, or RFC 3339 such as 2026"):
        moment(text, NOW)


def test_nothing_named_is_told_from_a_scope_that_holds_nothing() -> None:
    """A disposition alone is no selection; an empty list of organisations is one."""
    assert DeadLetterFilter().names_nothing
    assert DeadLetterFilter(disposition=None).names_nothing
    assert DeadLetterFilter().disposition == (Disposition.OPEN,)
    assert not DeadLetterFilter(org_ids=()).names_nothing
    assert not DeadLetterFilter(since=NOW).names_nothing
    assert not DeadLetterFilter.model_validate({"site_id": [0]}).names_nothing


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dropped_reason": ["nope"]}, "'invalid_payload_json', 'schema_violation', 'duplicate_event_id'"),
        ({"site_id": []}, "at least 1 item"),
        ({"site_id": [-1]}, "greater than or equal to 0"),
        ({"site_id": [2**63]}, "less than or equal to"),
        ({"script_id": ["a\x00b"]}, "contains a NUL"),
        ({"text": "\udcff"}, "unicode"),
        ({"provenance": ["bridge.raw:1"]}, "not a provenance"),
        ({"cause": ["12"]}, "is no group's key: 16 hexadecimal digits"),
        ({"since": datetime(2026, 1, 1)}, "timezone"),  # noqa: DTZ001  # refused input
        ({"since": NOW, "until": NOW}, "until must be after since"),
        ({"sites": [1]}, "Extra inputs"),
    ],
)
def test_what_can_mean_nothing_is_refused(given: dict[str, object], said: str) -> None:
    """The error for an unknown reason lists the known ones."""
    with pytest.raises(ValidationError, match=said):
        DeadLetterFilter.model_validate(given)


def test_it_survives_being_kept_as_json() -> None:
    """A plan stores its filter."""
    chosen = DeadLetterFilter.model_validate({"site_id": [1, 0], "since": NOW, "disposition": None})
    assert DeadLetterFilter.model_validate_json(chosen.model_dump_json()) == chosen


@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize("at", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)])
def test_a_time_outside_the_years_of_utc_is_refused(name: str, at: datetime) -> None:
    """The driver converts it to UTC and could not send it."""
    hours = 1 if at.year == 1 else -1
    with pytest.raises(ValidationError, match="within the years 1 to 9999 of UTC"):
        DeadLetterFilter.model_validate({name: at.replace(tzinfo=timezone(timedelta(hours=hours)))})
    assert getattr(DeadLetterFilter.model_validate({name: at}), name) == at
