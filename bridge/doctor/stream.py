"""Checks of the stream: workers, lag, overdue retries, unacknowledged losses, and the running totals."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from bridge.doctor.check import Check, Finding, Findings, fail, ok, warn
from bridge.sites import site_in_words
from schemas.config.settings import Settings
from schemas.documents.audit_report import AuditReport, PartitionAccount
from schemas.documents.run_summary import rfc3339
from schemas.pipeline.breaker import BreakerState
from schemas.pipeline.record import TopicPartition
from sinks.kafka.admin import group_has_members, offsets_since
from sinks.postgres.breaker.state import breaker_state
from sinks.postgres.offsets.admin import stored_offsets
from sinks.postgres.stats.server import Retries, WaitingScript, retries, waiting_scripts
from streams.audit import audit

LAG_WARN, LAG_FAIL = 60.0, 600.0
"""Age in seconds of the oldest unread record above which there is a warning."""
OVERDUE_WARN, OVERDUE_FAIL = 60.0, 300.0
"""Seconds after its due time at which a retry counts as overdue."""
WAITING_WARN = 1000
MOST_SCRIPTS: Final = 3


async def _workers(settings: Settings) -> Findings:
    if await group_has_members(settings):
        yield [ok("workers", f"the group {settings.group} has members")]
    else:
        yield [warn("workers", f"the group {settings.group} has no members", "start `bridge worker`")]


async def _lag(settings: Settings) -> Findings:
    report = await audit(settings, deep=False)
    behind = {TopicPartition(one.topic, one.partition): one for one in report.partitions if one.unread}
    now_ms = time.time_ns() // 1_000_000
    since = {
        seconds: await offsets_since(settings, behind, now_ms - round(seconds * 1000))
        for seconds in (LAG_WARN, LAG_FAIL)
    }
    stored = await stored_offsets(settings, ask_kafka=False) if behind else []
    held = {TopicPartition(one.topic, one.partition): one.held for one in stored if one.held}
    brake = await breaker_state(settings.dsn, settings.group) if behind else BreakerState()
    yield [judge_lag(behind, since, held, brake)]
    yield judge_books(report)


def judge_lag(
    behind: Mapping[TopicPartition, PartitionAccount],
    since: Mapping[float, Mapping[TopicPartition, int]],
    held: Mapping[TopicPartition, str],
    brake: BreakerState,
) -> Finding:
    """Judge the age of the oldest record of the raw topic that no worker has read.

    `since` maps an age in seconds to the first offset of each partition whose record is younger. `held` has the reasons
    why workers have paused partitions. If the circuit breaker (`brake`) has paused a partition, workers of the previous
    release record no reason.
    """
    unread = sum(one.unread or 0 for one in behind.values())
    for seconds, verdict in ((LAG_FAIL, fail), (LAG_WARN, warn)):
        old = [source for source, one in behind.items() if _next(one) < since[seconds][source]]
        if old:
            found = f"{unread} unread; in {len(old)} partitions some of them are older than {seconds:g} s"
            waiting = [source for source in old if source in held]
            told = f", {len(waiting)} of them held: {held[waiting[0]]}" if waiting else ""
            return verdict("lag", found + told, _hint(len(waiting), len(old), brake))
    return ok("lag", f"{unread} unread, none older than {LAG_WARN:g} s")


def _hint(held: int, old: int, brake: BreakerState) -> str:
    """Return the remedy for partitions with old unread records: `old` is their number, `held` how many are paused."""
    hints = ["the circuit breaker is open and pauses partitions; see `bridge breaker status`"] if brake.engaged else []
    hints += ["see `held` in `bridge offsets show`"] if held else []
    hints += ["check that workers run, and their logs; more workers share the partitions"] if held < old else []
    return "; ".join(hints)


def _next(account: PartitionAccount) -> int:
    """Return the next offset that a worker reads. For a partition that was never read, this is the start of its log."""
    return account.next_offset if account.next_offset is not None else account.log_start or 0


def judge_books(report: AuditReport) -> Iterable[Finding]:
    """Report unacknowledged losses (raw records deleted unread), and whether the running totals balance."""
    lost = [one for one in report.partitions if one.lost > one.lost_acknowledged]
    for one in lost:
        place = f"{one.topic}:{one.partition}"
        found = f"{place}: {one.lost - one.lost_acknowledged} records were deleted before they were read"
        yield fail("loss", found, f"when you know the cause, run `bridge audit --acknowledge-lost {place}`")
    if not lost:
        yield ok("loss", f"none unacknowledged, {report.totals.lost} in all")
    if report.balanced:
        yield ok("audit", "the running totals balance")
    else:
        yield fail("audit", f"{len(report.problems)} problems, first: {report.problems[0]}", "`bridge audit` names all")


async def _retries(settings: Settings) -> Findings:
    found = await retries(settings.dsn)
    yield [judge_retries(found, await waiting_scripts(settings.dsn, MOST_SCRIPTS) if found.waiting else ())]


def judge_retries(found: Retries, scripts: Sequence[WaitingScript] = ()) -> Finding:
    """Report events whose retry is overdue. An event that waits for a retry that is not due yet is normal.

    `scripts` are the scripts (registered sources of a site's events) with the most waiting events.
    """
    finding = _judge_waiting(found)
    told = "; ".join(map(_waiting, scripts))
    return finding._replace(found=f"{finding.found}; most: {told}") if told else finding


def _waiting(one: WaitingScript) -> str:
    """Describe the events of one script that wait for a retry: site, error class, and the time of the first failure."""
    whose = f"{site_in_words(one.site_id, one.org_id)} {one.script_id or ''}".rstrip()
    return f"{whose}: {one.waiting} {one.error_class} since {rfc3339(one.first_failed_at)}"


def _judge_waiting(found: Retries) -> Finding:
    told = f"{found.waiting} waiting"
    mend = "check that workers read the retry topics; `bridge process` processes due retries"
    if found.overdue and found.longest_overdue_seconds > OVERDUE_WARN:
        verdict = fail if found.longest_overdue_seconds > OVERDUE_FAIL else warn
        late = f"{found.overdue} past their time, the longest by {found.longest_overdue_seconds:.0f} s"
        return verdict("retries", f"{told}, {late}", mend)
    if found.waiting > WAITING_WARN:
        mend = "`bridge gate show` lists more of the scripts; see docs/runbooks/retries-up.md"
        return warn("retries", f"{told}, more than {WAITING_WARN}", mend)
    return ok("retries", f"{told}, none past its time")


CHECKS: Final = (
    Check("stream", "workers", _workers),
    Check("stream", "lag", _lag, connects=True),
    Check("stream", "retries", _retries, connects=True),
)
