"""The quality gate: the rule for which share of dropped and retried events is acceptable.

The gate is applied to one run of a job, or to a window of time of the stream. A verdict is pass or fail, with the
reasons as texts.
"""

from collections.abc import Callable, Mapping

from schemas.documents.gate import RunLimits, Verdict, WindowLimits, WindowSums


def judge_run(
    *, processed: int, retried: int, dropped: int, limits: RunLimits, by_reason: Mapping[str, int]
) -> Verdict:
    """Return the quality gate's verdict on the events of one run of a job.

    A number equal to its limit passes, and a larger one fails. A run without events passes.
    """
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


def window_rule(limits: WindowLimits) -> Callable[[WindowSums, bool], Verdict]:
    """Return a function that returns the quality gate's verdict on one window of time, for a site or for the total.

    The function's arguments are the window's sums of events, and whether the verdict before was a fail.
    """
    return lambda sums, failing: judge_window(sums, limits, failing=failing)


def judge_window(sums: WindowSums, limits: WindowLimits, *, failing: bool = False) -> Verdict:
    """Return the quality gate's verdict on the events in one window of time.

    `failing` is True if the verdict before was a fail; a stricter limit then applies, so that the verdict does not
    change back and forth.
    """
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
