"""The gate's limits, and its verdict in words."""

from decimal import Decimal
from typing import NamedTuple

from pydantic import BaseModel, Field


class RunLimits(NamedTuple):
    """The limits of one run: drops in total, for any reason, and retries in per cent of the processed events."""

    max_dropped_total: int
    max_retry_ratio_pct: Decimal


class Verdict(BaseModel):
    """Pass or fail, and why it fails: one sentence for each limit that is exceeded."""

    passed: bool
    reasons: list[str] = Field(default_factory=list)


class WindowLimits(NamedTuple):
    """The limits of a sliding window: retries, and drops other than duplicates, in per cent of the processed events.

    Windows with fewer than `min_processed` events have no verdict. A failing target passes again only below `recovery`
    of each limit, so that a target near its limit does not alert every minute.
    """

    max_retry_ratio_pct: Decimal
    max_drop_ratio_pct: Decimal
    min_processed: int
    recovery: Decimal = Decimal("0.8")


class WindowSums(NamedTuple):
    """Outcomes of one target, `site:3` or `total`, in one sliding window."""

    target: str
    processed: int
    normalized: int
    retried: int
    dropped: int
    duplicates: int


class GateChange(BaseModel):
    """A change of verdict, as the gate's topic has it, keyed by target; `change_id` is the same in each copy."""

    change_id: str
    target: str
    passed: bool
    reasons: list[str]
    changed_at: str
    window_seconds: int
    processed: int
    retried: int
    dropped: int
