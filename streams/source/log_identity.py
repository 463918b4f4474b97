"""Detection of replaced logs, when a worker gets partitions.

A topic may have been recreated or truncated, or the Kafka cluster replaced. A partition's log in Kafka is then another
log than the one that was read before, and the stored offset does not apply to it.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from schemas.pipeline.log_identity import LogMark, foreign, mark_of
from schemas.pipeline.record import TopicPartition
from sinks.ports import Sink
from streams.source.kafka import OffsetsGone, Source, SourceUnavailable

_POLL_MS = 200
_SECONDS = 20.0
REMEDY: Final = "restore the old log, or run `bridge topics adopt` to read the new one"
"""What an operator can do about a replaced log."""


class Examined(NamedTuple):
    """One log in Kafka: its first offset and its end.

    `foreign` is None if this is the log that was read before, else the reason why it is another one.
    """

    log: TopicPartition
    beginning: int
    end: int
    foreign: str | None


class Examination(NamedTuple):
    """The id of the Kafka cluster, and for each partition whether its log is the one that was read before."""

    cluster: str
    logs: list[Examined]


async def examine(source: Source, sink: Sink, partitions: Iterable[TopicPartition]) -> Examination:
    """Check whether each partition's log in Kafka is the one that was read before, by comparing it with Postgres.

    A log that was never read is not a replaced one. Writes nothing. The partitions are paused afterwards, with an
    arbitrary read position. Raises SourceUnavailable or SinkUnavailable.
    """
    in_kafka = sorted({one.in_kafka for one in partitions})
    known = await sink.logs(in_kafka)
    names = [known[one].log if one in known else one for one in in_kafka]
    cluster, beginnings = await source.cluster(), await source.beginnings(names)
    # The ends are read after the stored offsets. Otherwise commits in between could seem to lie beyond the end.
    ends = await source.ends(names)
    problems = {one.log: foreign(one, cluster=cluster, end=ends[one.log]) for one in known.values()}
    wanted = {
        one.log: one.mark
        for one in known.values()
        # A record that retention has deleted can't be compared. A gap of records that were not read counts as loss
        # instead.
        if problems[one.log] is None and one.mark is not None and beginnings[one.log] <= one.mark.offset
    }
    problems |= await _compare(source, wanted)
    return Examination(cluster, [Examined(one, beginnings[one], ends[one], problems.get(one)) for one in names])


async def _compare(source: Source, wanted: Mapping[TopicPartition, LogMark]) -> dict[TopicPartition, str | None]:
    """Read each log's record at the offset of the last committed record, and compare it with the stored digest.

    If Kafka has another record there, the log was recreated or truncated.
    """
    for log, mark in wanted.items():
        source.rewind(log, mark.offset)
    source.resume(wanted)
    found: dict[TopicPartition, str | None] = {}
    deadline = time.monotonic() + _SECONDS
    try:
        # An unreadable record does not show whether the log was replaced, so it is not waited for.
        while missing := [log for log in wanted if log not in found and log not in source.unreadable()]:
            for batch in await source.poll(missing, timeout_ms=_POLL_MS, max_records=1):
                mark = wanted[batch.source]
                same = bool(batch.records) and mark_of(batch.records[0]) == mark
                found[batch.source] = None if same else (
                    f"it has another record at offset {mark.offset} than the one that was read there: "
                    "it was recreated or truncated"
                )  # fmt: skip
            if time.monotonic() > deadline:
                raise SourceUnavailable(
                    f"Kafka did not return the last committed records in time, which identify a log: {missing}"
                )
    except OffsetsGone as error:
        raise SourceUnavailable(f"a log changed while it was compared: {error}") from error
    finally:
        source.pause(wanted)
    return found
