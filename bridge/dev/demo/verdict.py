"""The result of the demonstration, compared with the expectation of its mix."""

from dataclasses import dataclass

from bridge.dev.demo.figures import Outcome
from bridge.dev.demo.mix import Expectation
from schemas.documents.audit_report import AuditReport
from schemas.documents.run_summary import TargetError


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The results of one run of the demonstration.

    `seconds` is the time from sending the first record until the batch with the last record was committed.
    """

    events: int
    seconds: float
    outcome: Outcome
    by_http: int
    audit: AuditReport
    differences: list[str]
    worker_exit_code: int
    gateway_exit_code: int

    @property
    def events_per_second(self) -> int:
        """Return the number of raw events committed per second."""
        return round(self.events / self.seconds) if self.seconds else 0

    @property
    def problems(self) -> list[TargetError]:
        """Return the run's deviations from the mix's expected result, one line each; an empty list if none."""
        found = [TargetError(target="mix", reason=line) for line in self.differences]
        found += [TargetError(target="audit", reason=line) for line in self.audit.problems]
        if not self.audit.balanced and not self.audit.problems:
            found.append(TargetError(target="audit", reason="not balanced"))
        for target, code in (("worker", self.worker_exit_code), ("gateway", self.gateway_exit_code)):
            if code:
                found.append(TargetError(target=target, reason=f"drained with exit code {code}, not 0"))
        return found


def differences(expected: Expectation, outcome: Outcome) -> list[str]:
    """Return one line for each number that differs from the expectation."""
    found = []
    if outcome.normalized != expected.normalized:
        found.append(f"normalised: expected {expected.normalized}, found {outcome.normalized}")
    # How many need a retry depends on the time at which their script is registered. The others need only one attempt.
    if not min(1, expected.late) <= outcome.healed <= expected.late:
        found.append(f"healed by a retry: expected 1 to {expected.late}, found {outcome.healed}")
    wanted = {reason.value: count for reason, count in expected.dropped.items()}
    counts = (
        (reason, wanted.get(reason, 0), outcome.dropped.get(reason, 0)) for reason in {**wanted, **outcome.dropped}
    )
    found += [f"dropped as {reason}: expected {want}, found {got}" for reason, want, got in counts if want != got]
    return found


def counters(result: DemoResult) -> dict[str, object]:
    """Return the result as fields of a run summary."""
    outcome, problems = result.outcome, result.problems
    return {
        "targets_total": 1,
        "processed_total": result.events,
        "succeeded_total": outcome.normalized,
        "failed_total": len(problems),
        "errors": problems,
        "events_total": result.events,
        "through_gateway_total": result.by_http,
        "normalized_total": outcome.normalized,
        "healed_total": outcome.healed,
        "dropped_total": sum(outcome.dropped.values()),
        "dropped_by_reason": outcome.dropped,
        "events_per_second": result.events_per_second,
        "seconds": round(result.seconds, 3),
        "produce_to_row_ms": {"p50": outcome.p50_ms, "p99": outcome.p99_ms},
        "audit_balanced": result.audit.balanced,
        "as_expected": not result.differences,
        "worker_exit_code": result.worker_exit_code,
    }
