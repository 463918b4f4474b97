"""Summaries of runs."""

from datetime import UTC, datetime, timedelta

from schemas.documents.run_summary import RunSummary, begin_summary

BEGAN = datetime(2026, 2, 10, 14, 30, 1, 900_000, UTC)


def test_a_duration_is_that_of_the_run() -> None:
    """The start has whole seconds, the duration milliseconds."""
    summary = begin_summary("dlq-plan", BEGAN, RunSummary).ended(BEGAN + timedelta(milliseconds=240), BEGAN)
    assert (summary.started_at, summary.ended_at) == ("2026-02-10T14:30:01Z", "2026-02-10T14:30:02Z")
    assert summary.duration_ms == 240
