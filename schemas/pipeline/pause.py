"""What operators pause for the time being: a partition, or the events of a script, a site or an organisation."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class PauseKind(StrEnum):
    """What is paused."""

    PARTITION = "partition"
    """A partition of the raw topic, which no worker reads."""
    SCRIPT = "script"
    """Its events are refused by the gateway, and parked by the stream; likewise the next two."""
    SITE = "site"
    ORG = "org"


class Pause(NamedTuple):
    """One pause; `target` is `topic:partition`, a script_id, or the number of a site or organisation."""

    kind: PauseKind
    target: str
    paused_at: datetime
    paused_by: str
    reason: str
