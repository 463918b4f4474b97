"""The report of an audit: whether every raw offset has one outcome, the sums, and the account of each partition."""

from typing import Literal

from pydantic import BaseModel, Field

from schemas.documents.afterwards import Afterwards


class PartitionAccount(BaseModel, frozen=True):
    """The account of one partition, in records. What a quick audit does not count is None.

    A raw partition balances when `read = persisted + dropped + waiting + stale + skipped + lost`. A retry partition,
    and every partition in a quick audit, balances when `read = live + stale + skipped + lost`. `unread` is the number
    of records from `next_offset` on; it is None if Kafka has no such partition. `removed` is the number of the persisted
    and dropped records whose rows were removed, and for which closing entries account.
    """

    topic: str
    partition: int
    kind: Literal["raw", "retry"]
    base_offset: int | None
    next_offset: int | None
    log_start: int | None
    log_end: int | None
    read: int
    live: int
    persisted: int | None
    dropped: int | None
    waiting: int | None
    stale: int
    skipped: int
    lost: int
    lost_acknowledged: int
    unread: int | None
    removed: int | None = None
    balanced: bool


class AuditTotals(BaseModel, frozen=True):
    """The sums, in records. A deep audit counts rows, a quick one reads the running totals.

    `waiting`, `healed` and the keys are None in a quick audit. `keys_pruned` is the number of events that are too old
    to need a key. `dropped_became` has the dropped events by what became of them. `replays` is the number of records
    read that replay a dead letter; each dead letter counts once. `removed` is the number of the persisted and dropped
    records whose rows were removed. `removals` is the number of the closing entries that account for removed rows. All
    four are None in a quick audit.
    """

    read: int
    persisted: int
    dropped: int
    dropped_by_reason: dict[str, int]
    retried: int
    waiting: int | None
    healed: int | None
    stale: int
    skipped: int
    lost: int
    unread: int
    keys: int | None
    keys_pruned: int | None
    dropped_became: dict[Afterwards, int] | None = None
    replays: int | None = None
    removed: int | None = None
    removals: int | None = None


class AuditReport(BaseModel, frozen=True):
    """The result of `bridge audit`. `problems` has a line for each imbalance, and is empty if everything balances."""

    balanced: bool
    deep: bool
    problems: list[str] = Field(default_factory=list)
    totals: AuditTotals
    partitions: list[PartitionAccount]
