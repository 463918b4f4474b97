"""Report of an audit: whether every raw offset is accounted for, the sums, and each partition's account."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.documents.afterwards import Afterwards


class PartitionAccount(BaseModel):
    """One partition's account, in records. What a quick audit does not count is None.

    A raw partition balances when `read = persisted + dropped + waiting + stale + skipped + lost`, a retry partition
    (and any partition in a quick audit) when `read = live + stale + skipped + lost`. `unread` lies beyond
    `next_offset`; it is None where Kafka has no such partition.
    """

    model_config = ConfigDict(frozen=True)

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
    balanced: bool


class AuditTotals(BaseModel):
    """The sums, in records: of a deep audit from the rows, of a quick one from the running totals.

    `waiting`, `healed` and the keys are None in a quick audit. `keys_pruned` counts events too old to need a key.
    `dropped_became` counts the dropped by what became of them, and `replays` those read that are replays of dead letters,
    each dead letter once; both are None in a quick audit.
    """

    model_config = ConfigDict(frozen=True)

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


class AuditReport(BaseModel):
    """The result of `bridge audit`; `problems` has one line for each imbalance and is empty when it is balanced."""

    model_config = ConfigDict(frozen=True)

    balanced: bool
    deep: bool
    problems: list[str] = Field(default_factory=list)
    totals: AuditTotals
    partitions: list[PartitionAccount]
