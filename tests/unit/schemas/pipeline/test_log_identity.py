"""The identity of a log, by which a replaced log is recognised."""

import pytest
from support.events.making import record

from schemas.pipeline.log_identity import KnownLog, foreign, mark_of
from schemas.pipeline.record import TopicPartition

KNOWN = KnownLog(TopicPartition("t.raw", 0), 10, mark_of(record(9)), "here")


@pytest.mark.parametrize(
    "other",
    [
        record(9, key=None),
        record(9, key=b""),
        record(9, key=b"", value=b"k" + (record(9).value or b"")),
        record(9, event_id="e-2"),
        record(9, timestamp=1),
        record(9, timestamp=-1),
        record(8),
    ],
)
def test_a_record_with_another_content_time_or_place_is_another(other) -> None:
    """Null is not empty, and a key's bytes are not the value's."""
    assert mark_of(other) != mark_of(record(9))
    assert mark_of(record(9)) == mark_of(record(9))


@pytest.mark.parametrize(
    ("cluster", "end", "why"),
    [("here", 10, None), ("here", 99, None), ("there", 10, "belongs to the cluster there"), ("here", 9, "ends at 9")],
)
def test_a_log_of_another_cluster_or_a_shorter_one_is_foreign(cluster: str, end: int, why: str | None) -> None:
    """A longer log may be the same."""
    found = foreign(KNOWN, cluster=cluster, end=end)
    assert found is None if why is None else why in (found or "")


def test_a_log_whose_cluster_was_never_noted_may_be_of_any() -> None:
    """Earlier releases stored no cluster."""
    assert foreign(KNOWN._replace(cluster=None), cluster="there", end=10) is None
