"""The gate: by which figures a run passes or fails, and its verdict in words."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from pydantic import BaseModel, Field


class RunLimits(NamedTuple):
    """What one run may drop in all, every reason counted, and retry in per cent of what it processed."""

    max_dropped_total: int
    max_retry_ratio_pct: Decimal


class Verdict(BaseModel):
    """Pass or fail, and why it fails: one sentence for each limit that is exceeded."""

    passed: bool
    reasons: list[str] = Field(default_factory=list)


def judge_run(
    *, processed: int, retried: int, dropped: int, limits: RunLimits, by_reason: Mapping[str, int]
) -> Verdict:
    """The verdict over one run. A limit that is reached passes, one that is exceeded fails; nothing processed passes."""
    reasons = []
    if dropped > limits.max_dropped_total:
        spread = ", ".join(f"{reason} {count}" for reason, count in sorted(by_reason.items()) if count)
        reasons.append(f"{dropped} dropped, at most {limits.max_dropped_total} are allowed ({spread})")
    if retried * 100 > limits.max_retry_ratio_pct * processed:
        ratio = retried * 100 / processed
        reasons.append(
            f"{retried} of {processed} retried, {ratio:.2f} %, at most {limits.max_retry_ratio_pct} % are allowed"
        )
    return Verdict(passed=not reasons, reasons=reasons)


class WindowLimits(NamedTuple):
    """What a sliding window may retry, and drop for reasons other than a duplicate, in per cent of what it processed.

    Fewer than `min_processed` events are no ground for a verdict. A target that fails passes again only below
    `recovery` of each limit, so that one at the limit does not call somebody every minute.
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


def judge_window(sums: WindowSums, limits: WindowLimits, *, failing: bool = False) -> Verdict:
    """The verdict over one window; `failing` says that the last one was a fail."""
    if sums.processed < limits.min_processed:
        return Verdict(passed=True)
    reasons = []
    lost = sums.dropped - sums.duplicates
    for count, what, limit in (
        (sums.retried, "retried", limits.max_retry_ratio_pct),
        (lost, "dropped for reasons other than a duplicate", limits.max_drop_ratio_pct),
    ):
        bound = limit * limits.recovery if failing else limit
        if count * 100 > bound * sums.processed:
            ratio = count * 100 / sums.processed
            reasons.append(
                f"{count} of {sums.processed} {what}, {ratio:.2f} %, at most {bound.normalize():f} % are allowed"
            )
    return Verdict(passed=not reasons, reasons=reasons)


class GateChange(BaseModel):
    """A change of verdict, as it stands on the gate's topic under its target; `change_id` is the same in each copy."""

    change_id: str
    target: str
    passed: bool
    reasons: list[str]
    changed_at: str
    window_seconds: int
    processed: int
    retried: int
    dropped: int
