"""What retention removes: its kinds, the steps of a plan, and how far a step has come."""

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple


class RetentionKind(StrEnum):
    """What a step of retention removes. Closing entries name it too. Steps run in this order."""

    LEDGER = "ledger"  # finished rows of the ledger, the table of failed events
    PAYLOADS = "payloads"  # payload, key and headers of healed rows of the ledger
    MINUTE_WINDOWS = "minute_windows"  # gate windows of a minute, which are added up to hours
    HOUR_WINDOWS = "hour_windows"  # gate windows of an hour, which are added up to days
    EVENTS = "events"  # events of months that are archived
    KEYS = "keys"  # keys that detect duplicates, of events that are not stored any more
    RUNS = "runs"  # the history of runs


class RetentionStep(NamedTuple):
    """One step of a plan: rows of this kind from before `before` are removed. `keep` is the setting, such as 2160h."""

    kind: RetentionKind
    keep: str
    before: datetime


class PlannedStep(NamedTuple):
    """A step of a stored plan, and how far it has come.

    `rows` and `bytes` are those that the plan has counted, the others those that were removed so far. `position` is the
    place after which the step continues, None at its beginning. `ended_at` is None until the step is complete.
    """

    kind: RetentionKind
    keep: str
    before: datetime
    rows: int
    bytes: int
    position: dict[str, Any] | None = None
    rows_removed: int = 0
    bytes_removed: int = 0
    ended_at: datetime | None = None


class RetentionPlan(NamedTuple):
    """A stored plan of retention with its steps. `applied_at` is None until all steps are complete."""

    plan_id: str
    created_at: datetime
    created_by: str
    applied_at: datetime | None
    steps: tuple[PlannedStep, ...]


class Removed(NamedTuple):
    """The result of one batch of a step: what it removed, and where the next batch begins, None if none is left."""

    rows: int
    bytes: int
    position: dict[str, Any] | None
