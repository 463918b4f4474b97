"""The input of the audit (the check that every offset has an outcome).

It consists of rows of Postgres from one snapshot, and the bounds of Kafka's logs.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from schemas.documents.afterwards import Became
from schemas.pipeline.record import TopicPartition


class LogBounds(NamedTuple):
    """The bounds of a Kafka log: its first offset, and the offset after the last record that can be read."""

    start: int
    end: int


class Offsets(NamedTuple):
    """One row of the query `audit_offsets`: which offsets of a partition were read, and the totals by commits."""

    topic: str
    partition: int
    base_offset: int
    next_offset: int
    furthest: int
    own: bool
    read: int
    live: int
    normalized: int
    retried: int
    dropped: int
    stale: int
    skipped: int
    lost: int
    lost_acknowledged: int


class Windows(NamedTuple):
    """One row of the query `audit_windows`: a partition's sums of all gate windows.

    A gate window has the counts of one minute, site and partition. Dropped events are counted by reason, in the order
    of DroppedReason.
    """

    topic: str
    partition: int
    normalized: int
    retried: int
    dropped: int
    invalid_payload_json: int
    schema_violation: int
    duplicate_event_id: int
    sink_rejected_row: int
    retry_exhausted: int


class Ledgers(NamedTuple):
    """One row of the query `audit_rows`: numbers of events and of ledger rows (failed events) of a raw partition.

    Each field `*_at` is the first offset of the rows that the field before it counts.
    """

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    persisted: int
    persisted_at_once: int
    ledger: int
    dropped: int
    waiting: int
    healed: int
    retried: int
    later_attempts: int
    doubled: int
    doubled_at: int | None
    healed_without_event: int
    healed_without_event_at: int | None
    retried_without_ledger: int
    retried_without_ledger_at: int | None
    other_attempt: int
    other_attempt_at: int | None
    contradicted: int
    contradicted_at: int | None


class Closed(NamedTuple):
    """One row of the query `audit_closed`: the sums of a raw partition's closing entries.

    A closing entry accounts for rows that were removed. `replays` and `replayed` are dropped events: those that replay
    others, and those whose replay was read.
    """

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    events: int
    events_at_once: int
    ledger: int
    healed: int
    retried: int
    dropped: int
    replays: int
    replayed: int


class Break(NamedTuple):
    """A place where the chain of closing entries is broken: one row of the query `audit_chain`."""

    removal_id: int
    what: str
    id_before: int


class Removals(NamedTuple):
    """What closing entries account for: by partition, dropped events by reason, keys, and the number of entries.

    `breaks` are the places where the chain of the entries is broken.
    """

    closed: Mapping[TopicPartition, Closed]
    reasons: Mapping[str, int]
    keys: int
    entries: int
    breaks: Sequence[Break] = ()


NO_REMOVALS: Final = Removals({}, {}, 0, 0)


class Keys(NamedTuple):
    """The row of the query `audit_keys`: numbers of the keys that detect duplicates, and of events."""

    keys: int
    keys_since: int
    events_since: int


class Snapshot(NamedTuple):
    """What the audit has read of Postgres in one snapshot. A quick audit does not count rows, and has no `ledgers`.

    `incomplete` names the tables of which the audit has not read all partitions.
    """

    offsets: Mapping[TopicPartition, Offsets]
    windows: Mapping[TopicPartition, Windows]
    ledgers: Mapping[TopicPartition, Ledgers] | None = None
    reasons: Mapping[str, int] | None = None
    keys: Keys | None = None
    became: Became | None = None
    replays: int | None = None
    incomplete: Sequence[str] = ()
    removals: Removals = NO_REMOVALS
