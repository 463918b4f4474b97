"""Pauses of partitions: the reasons for which a worker does not read a partition, and the pauses that operators set."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class PauseReason(StrEnum):
    """The reason for which a worker does not read a partition that Kafka has assigned to it."""

    CLAIM = "claim"
    """The partition's position in Postgres is not claimed yet."""
    OUTAGE = "outage"
    """Kafka or Postgres is away."""
    BREAKER = "breaker"
    """The circuit breaker is open, and the next record would become a dead letter."""
    REPLACED_LOG = "replaced_log"
    """The partition's log in Kafka is not the log that was read before."""
    RETRY_DUE = "retry_due"
    """The next retry on the partition is not due."""
    UNREADABLE = "unreadable"
    """No client can read the partition's next record."""
    OPERATOR = "operator"
    """An operator has paused the partition."""


class PauseKind(StrEnum):
    """What an operator's pause applies to: the kind of the pause's target."""

    PARTITION = "partition"
    """A partition of the raw topic, which no worker reads."""
    SCRIPT = "script"
    """The gateway refuses the script's events, and workers let those in Kafka wait.

    SITE and ORG have the same effect.
    """
    SITE = "site"
    ORG = "org"


class Pause(NamedTuple):
    """One pause that an operator has set.

    `target` is `topic:partition`, a script_id, or the number of a site or organisation.
    """

    kind: PauseKind
    target: str
    paused_at: datetime
    paused_by: str
    reason: str
