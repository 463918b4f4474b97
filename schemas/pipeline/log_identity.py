"""The identity of a Kafka log. A recreated topic has another log under the same name.

The cluster's id and the last record that was read distinguish the logs.
"""

from hashlib import blake2b
from typing import NamedTuple

from schemas.pipeline.record import RawRecord, TopicPartition

_DIGEST_BYTES = 16
_NULL = b"\xff" * 8


class LogMark(NamedTuple):
    """The last committed record of a log: its offset, its digest, and its time in milliseconds since the epoch."""

    offset: int
    digest: bytes
    timestamp: int


class KnownLog(NamedTuple):
    """What Postgres stores about a log: its name, its cluster, the last committed record, and the offset after it."""

    log: TopicPartition
    next_offset: int
    mark: LogMark | None
    cluster: str | None


def mark_of(record: RawRecord) -> LogMark:
    """Return the mark of this record: its offset, digest and time, by which it is recognised later."""
    digest = blake2b(record.timestamp.to_bytes(8, signed=True), digest_size=_DIGEST_BYTES)
    for part in (record.key, record.value):
        digest.update(_NULL if part is None else len(part).to_bytes(8))
        digest.update(part or b"")
    return LogMark(record.offset, digest.digest(), record.timestamp)


def foreign(known: KnownLog, *, cluster: str, end: int) -> str | None:
    """Return why Kafka's log can't be the one that was read before, by its cluster and length; None if it can be."""
    if known.cluster is not None and known.cluster != cluster:
        return f"it belongs to the cluster {cluster}, but the log that was read belongs to the cluster {known.cluster}"
    if end < known.next_offset:
        return f"it ends at {end}, but was read up to {known.next_offset}: it was truncated or recreated"
    return None
