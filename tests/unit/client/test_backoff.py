"""The client's backoff."""

from datetime import UTC, datetime

import pytest

from bridge.client.backoff import LONGEST_SECONDS, asked_seconds, pause

NOW = datetime(2026, 2, 10, 12, 0, 0, tzinfo=UTC)


def test_pauses_grow_to_a_bound_and_are_spread() -> None:
    """Pauses double up to the limit, and jitter takes off up to a half."""
    longest = [pause(failures, None, lambda: 1.0) for failures in range(1, 12)]

    assert longest[:3] == [0.5, 1.0, 2.0]
    assert longest[-1] == LONGEST_SECONDS == pause(10_000, None, lambda: 1.0)
    assert pause(3, None, lambda: 0.0) == 1.0


def test_what_is_asked_for_is_never_undercut() -> None:
    """Retry-After is a minimum with jitter, so that clients do not return together."""
    assert pause(1, 10.0, lambda: 0.0) == 10.0
    assert pause(1, 10.0, lambda: 1.0) == 11.0
    assert pause(9, 1.0, lambda: 1.0) == LONGEST_SECONDS


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 0 ", 0.0),
        ("99999999999999999999", 3600.0),
        ("Tue, 10 Feb 2026 12:00:30 GMT", 30.0),
        ("Tue, 10 Feb 2026 11:00:00 GMT", 0.0),
        ("Tue, 10 Feb 2099 11:00:00 GMT", 3600.0),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        ("soon", None),
        ("-3", None),
        ("١", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    """Any other value is ignored, and no value makes the client wait for more than an hour."""
    assert asked_seconds(header, NOW) == seconds
