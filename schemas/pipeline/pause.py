"""Pauses by operators: a partition, or the events of a script, a site or an organisation."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


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
