"""Pauses: the reasons for not reading a partition, and the pauses by operators."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class PauseReason(StrEnum):
    """The reason that a worker does not read a partition of its own."""

    CLAIM = "claim"
    """Its position in Postgres is not claimed yet."""
    OUTAGE = "outage"
    """Kafka or Postgres is away."""
    BREAKER = "breaker"
    """The circuit breaker is open, and the next record would be a dead letter."""
    REPLACED_LOG = "replaced_log"
    """Its log is not the one that was read."""
    RETRY_DUE = "retry_due"
    """Its next retry is not due."""
    UNREADABLE = "unreadable"
    """Its next record can't be read."""
    OPERATOR = "operator"
    """An operator has paused it."""


class PauseKind(StrEnum):
    """The kind of a pause's target."""

    PARTITION = "partition"
    """A partition of the raw topic, which no worker reads."""
    SCRIPT = "script"
    """The gateway refuses the script's events, and the stream parks them; the same holds for the next two."""
    SITE = "site"
    ORG = "org"


class Pause(NamedTuple):
    """One pause; `target` is `topic:partition`, a script_id, or the number of a site or organisation."""

    kind: PauseKind
    target: str
    paused_at: datetime
    paused_by: str
    reason: str
