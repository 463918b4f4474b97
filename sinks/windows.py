"""Gate windows: counts of events by minute and site, from which the quality gate judges the stream.

One commit adds counts by minute, site, partition, and whether the events are replays.
"""

from collections import Counter, defaultdict
from typing import NamedTuple

from schemas.pipeline.outcome import Candidate, Failure
from schemas.reasons import DroppedReason

_NORMALIZED, _RETRIED = 0, 1
# In the order of the arguments of `windows_add`.
REASON_COLUMNS = {reason: column for column, reason in enumerate(DroppedReason, start=2)}
_COUNTS = 2 + len(REASON_COLUMNS)


class WindowKey(NamedTuple):
    """The key of one gate window (counts of one minute). `minute` is in minutes since the epoch.

    Topic and partition are those of the record that was processed: a raw record, or a record on a retry topic.
    """

    minute: int
    site_id: int
    topic: str
    partition: int
    replay: bool


Windows = dict[WindowKey, list[int]]


def count_windows(normalized: list[Candidate], failures: list[Failure]) -> Windows:
    """Return the counts of each gate window (one minute): normalized, retried, then one count for each drop reason."""
    quick = Counter([one.window for one in normalized])
    windows: Windows = defaultdict(lambda: [0] * _COUNTS)
    for key, count in quick.items():
        windows[WindowKey(*key)][_NORMALIZED] = count
    for failure in failures:
        each, site = failure.attempt, failure.window_site_id
        key = WindowKey(each.minute, site, each.record.topic, each.record.partition, each.replay is not None)
        windows[key][_RETRIED if failure.dropped_reason is None else REASON_COLUMNS[failure.dropped_reason]] += 1
    return windows


def window_columns(windows: Windows) -> list[list[object]]:
    """Return the counts of gate windows as the arrays that the SQL statement `windows_add` takes."""
    return [list(column) for column in zip(*((*key, *counts) for key, counts in windows.items()), strict=True)]
