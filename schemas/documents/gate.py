"""The quality gate's limits, and its verdict: whether the share of retried and dropped events is acceptable."""

from decimal import Decimal
from typing import NamedTuple

from pydantic import BaseModel, Field


class RunLimits(NamedTuple):
    """The limits of one run: the number of drops for any reason, and retries in per cent of processed events."""

    max_dropped_total: int
    max_retry_ratio_pct: Decimal


class Verdict(BaseModel):
    """Pass or fail, and the reasons for a fail: one sentence for each limit that is exceeded."""

    passed: bool
    reasons: list[str] = Field(default_factory=list)


class WindowLimits(NamedTuple):
    """The limits of a sliding window: retries, and drops except duplicates, in per cent of processed events.

    A window with fewer than `min_processed` events has no verdict. A target that fails passes again only when it is
    below the part `recovery` of each limit. Otherwise a target near its limit would alert every minute.
    """

    max_retry_ratio_pct: Decimal
    max_drop_ratio_pct: Decimal
    min_processed: int
    recovery: Decimal = Decimal("0.8")


class WindowSums(NamedTuple):
    """The outcomes of one target (`site:3` or `total`) in one sliding window."""

    target: str
    processed: int
    normalized: int
    retried: int
    dropped: int
    duplicates: int


class GateChange(BaseModel):
    """A change of a target's verdict, as the gate's topic has it, with the target as key.

    `change_id` is the same in each copy of the change.
    """

    change_id: str
    target: str
    passed: bool
    reasons: list[str]
    changed_at: str
    window_seconds: int
    processed: int
    retried: int
    dropped: int
