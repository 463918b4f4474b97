"""Backoff in place: short enough to notice a service's return, and logged at a bounded rate with counts."""

from structlog.testing import capture_logs

from streams.worker.backoff import Backoff

RESUMED_WITHIN_SECONDS = 10.0
CONNECTING_SECONDS = 2.0


def test_a_services_return_is_noticed_within_ten_seconds() -> None:
    """Every length of outage and every jitter leaves time to connect."""
    unlucky = Backoff(lambda: 1.0)
    waits = [unlucky.failed("raw-0", OSError("away")) for _ in range(60)]

    assert waits == sorted(waits)
    assert waits[0] < 1
    assert waits[-1] <= RESUMED_WITHIN_SECONDS - CONNECTING_SECONDS


def test_an_hour_long_outage_is_told_once_a_minute_and_with_counts() -> None:
    """One line every few seconds would hide all other lines."""
    backoff, waited, tries = Backoff(lambda: 0.5), 0.0, 0
    with capture_logs() as lines:
        while waited < 3600:
            waited += backoff.failed("raw-0", OSError("away"))
            tries += 1
        backoff.succeeded("raw-0")

    told = [line for line in lines if line["event"] == "lane_backing_off"]
    assert 60 <= len(told) <= 63
    assert lines[-1] == {
        "event": "resumed", "log_level": "info", "lane": "raw-0", "tries": tries, "waited_seconds": round(waited, 1),
    }  # fmt: skip
