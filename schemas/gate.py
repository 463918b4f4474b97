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
