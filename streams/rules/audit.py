"""The rules of the audit, which checks that every offset of the raw topics has one outcome; pure.

From a snapshot of Postgres and the bounds of Kafka's logs they make the report. The audit compares the stored offsets,
the running totals that commits write, and (in a deep audit) the rows themselves.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from schemas.documents.audit_report import AuditReport, AuditTotals, PartitionAccount
from schemas.kafka.topics import Topics
from schemas.pipeline.audit_snapshot import Keys, Ledgers, LogBounds, Offsets, Snapshot, Windows
from schemas.pipeline.record import LEDGER_TOPIC, TopicPartition, incarnation_of, topic_of
from schemas.reasons import DroppedReason
from streams.rules.closed import chain_problems, counterpart_problems, removed_records, with_closed

_SUMS: Final = ("read", "live", "stale", "skipped", "lost", "lost_acknowledged")
_ROWS: Final = ("persisted", "dropped", "waiting")


def judge(snapshot: Snapshot, bounds: Mapping[TopicPartition, LogBounds], topics: Topics) -> AuditReport:
    """Return the audit's report on the whole database. `topics` are the raw topics in the settings."""
    snapshot = with_closed(snapshot)
    ledgers, removals = snapshot.ledgers, snapshot.removals
    present = _present_logs(snapshot, bounds)
    bounds = {log: bounds[source] for source, log in present.items() if source in bounds}
    raw = {topics.raw} | {topic_of(source.topic) for source in ledgers or {}}
    raw_topics = raw | {source.topic for source in snapshot.offsets if topic_of(source.topic) in raw}
    problems = [*chain_problems(removals)]
    problems += [f"{table}: it has rows of too many partitions to compare all of them" for table in snapshot.incomplete]
    accounts = []
    for source in sorted({*snapshot.offsets, *(ledgers or {}), *bounds}):
        offsets, ledger, log = snapshot.offsets.get(source), (ledgers or {}).get(source), bounds.get(source)
        is_raw = source.topic in raw_topics
        counted = is_raw and ledgers is not None
        found: list[str] = []
        if offsets is not None:
            found += _offset_problems(source, offsets, log, present)
            found += _sum_problems(source, offsets, ledger, rows=counted)
        if ledger is not None:
            found += _row_problems(source, offsets, ledger)
            found += counterpart_problems(source, ledger, removals.closed.get(source))
        problems += found
        account = _account(source, offsets, ledger, log, is_raw=is_raw, counted=counted, balanced=not found)
        removed = removed_records(removals.closed.get(source)) if counted else None
        accounts.append(account.model_copy(update={"removed": removed}))
    problems += _window_problems(snapshot)
    if ledgers is not None:
        problems += _total_problems(snapshot, ledgers, raw_topics)
    totals = _totals(snapshot, accounts, raw_topics)
    return AuditReport(
        balanced=not problems, deep=ledgers is not None, problems=problems, totals=totals, partitions=accounts
    )


def _present_logs(
    snapshot: Snapshot, bounds: Mapping[TopicPartition, LogBounds]
) -> dict[TopicPartition, TopicPartition]:
    """Return, for each Kafka partition, the log that workers read now.

    A recreated topic is a new log. Of several logs of a partition, it is the one that an operator has adopted last.
    """
    logs = sorted({*snapshot.offsets, *bounds}, key=lambda source: incarnation_of(source.topic))
    return {log.in_kafka: log for log in logs}


def _offset_problems(
    source: TopicPartition, offsets: Offsets, log: LogBounds | None, present: Mapping[TopicPartition, TopicPartition]
) -> Iterable[str]:
    """Yield the problems of stored offsets.

    They are contradictions to Kafka's log, and lost records that no operator has acknowledged.
    """
    gone = present[source.in_kafka] != source
    if log is None and not gone:
        if offsets.own and offsets.read:
            yield f"{source}: offset {offsets.next_offset} is stored, but Kafka has no such partition"
    elif log is not None and offsets.furthest > log.end:
        yield f"{source}: an offset moved: the stored offset {offsets.furthest} is beyond Kafka's end {log.end}"
    elif log is not None and offsets.own and log.start > offsets.next_offset:
        lost = log.start - offsets.next_offset
        yield f"{source}: Kafka deleted {lost} records from {offsets.next_offset} on before they were read"
    if offsets.lost > offsets.lost_acknowledged:
        lost = offsets.lost - offsets.lost_acknowledged
        yield (
            f"{source}: {lost} records are lost, and the loss is not acknowledged; once you know why: "
            f"bridge audit --acknowledge-lost {source.topic}:{source.partition}"
        )


def _sum_problems(source: TopicPartition, offsets: Offsets, ledger: Ledgers | None, *, rows: bool) -> Iterable[str]:
    """Yield the offsets without an outcome, found by the running totals and, with `rows`, also by counting the rows."""
    read, aside = offsets.read, offsets.stale + offsets.skipped + offsets.lost
    passed = f"{offsets.stale} stale + {offsets.skipped} skipped + {offsets.lost} lost"
    if rows:
        persisted, dropped, waiting = (ledger.persisted, ledger.dropped, ledger.waiting) if ledger else (0, 0, 0)
        if read != persisted + dropped + waiting + aside:
            yield (
                f"{source}: {read} offsets were read, {persisted + dropped + waiting + aside} are accounted for "
                f"({persisted} persisted + {dropped} dropped + {waiting} waiting + {passed})"
            )
        first = ledger.persisted_at_once + ledger.ledger if ledger else 0
        if offsets.live != first:
            yield f"{source}: the running totals count {offsets.live} first attempts, the rows {first}"
    if read != offsets.live + aside:
        yield (
            f"{source}: {read} offsets were read, {offsets.live + aside} are in the running totals "
            f"({offsets.live} live + {passed})"
        )
    outcomes = offsets.normalized + offsets.retried + offsets.dropped
    if offsets.live != outcomes:
        yield f"{source}: the running totals count {offsets.live} attempts, but {outcomes} outcomes"


def _row_problems(source: TopicPartition, offsets: Offsets | None, ledger: Ledgers) -> Iterable[str]:
    """Yield the events and ledger rows (rows of failed events) that contradict each other.

    Also yield those whose offsets were never read. Those that belong together are compared by `counterpart_problems`.
    """
    if offsets is None:
        yield f"{source}: {ledger.persisted} events and {ledger.ledger} ledger rows, but no stored offset"
    elif ledger.last_offset >= offsets.furthest or ledger.first_offset < offsets.base_offset:
        yield (
            f"{source}: an offset moved: rows reach from {ledger.first_offset} to {ledger.last_offset}, "
            f"but offsets were read from {offsets.base_offset} to {offsets.furthest - 1}"
        )
    for count, at, what in (
        (ledger.doubled, ledger.doubled_at, "have more than one event row"),
        (ledger.other_attempt, ledger.other_attempt_at, "healed at another attempt than the ledger has"),
        (ledger.contradicted, ledger.contradicted_at, "have an event row, but a ledger row that contradicts it"),
    ):
        if count:
            yield f"{source}: {count} raw events {what}, first at offset {at}"


def _window_problems(snapshot: Snapshot) -> Iterable[str]:
    """Yield, for each partition, the differences between its running totals and the sum of its gate windows.

    A gate window has the counts of one minute, site and partition.
    """
    # `bridge process` commits to windows of its own, so that the partitions' windows may count less than the totals.
    processed_apart = any(source.topic == LEDGER_TOPIC for source in snapshot.windows)
    totals: dict[TopicPartition, list[Offsets]] = defaultdict(list)
    for source, offsets in snapshot.offsets.items():
        # A window names only the partition, so the totals of all of the partition's logs are added up.
        totals[source.in_kafka].append(offsets)
    for source in sorted({*totals, *snapshot.windows}):
        if source.topic == LEDGER_TOPIC:
            continue
        counted = _outcomes([snapshot.windows[source]] if source in snapshot.windows else [])
        settled = _outcomes(totals[source])
        too_many = any(have > want for have, want in zip(counted, settled, strict=True))
        if too_many or (counted != settled and not processed_apart):
            yield f"{source}: the gate windows count {_written(counted)}, the running totals {_written(settled)}"


def _total_problems(
    snapshot: Snapshot, ledgers: Mapping[TopicPartition, Ledgers], raw_topics: set[str]
) -> Iterable[str]:
    """Yield the sums over the whole database that should be equal and differ."""
    persisted = sum(one.persisted for one in ledgers.values())
    windows = snapshot.windows.values()
    for what, counted, rows in (
        ("normalized", sum(one.normalized for one in windows), persisted),
        ("dropped", sum(one.dropped for one in windows), sum(one.dropped for one in ledgers.values())),
        ("retried", sum(one.retried for one in windows), sum(one.retried for one in ledgers.values())),
        *(
            (f"dropped as {reason}", count, (snapshot.reasons or {}).get(reason, 0))
            for reason, count in _by_reason(snapshot).items()
        ),
    ):
        if counted != rows:
            yield f"all windows together count {counted} {what}, the rows {rows}"
    for reason in sorted(set(snapshot.reasons or {}) - set(DroppedReason)):
        yield f"the ledger drops for a reason that does not exist: {reason}"
    later = sum(one.later_attempts for one in ledgers.values())
    live = sum(one.live for source, one in snapshot.offsets.items() if source.topic not in raw_topics)
    if live != later and not any(source.topic == LEDGER_TOPIC for source in snapshot.windows):
        yield f"the running totals count {live} later attempts, the ledger {later}"
    if snapshot.keys:
        yield from _key_problems(snapshot.keys, persisted, snapshot.removals.keys)


def _key_problems(keys: Keys, events: int, closed: int) -> Iterable[str]:
    """Yield differences between the number of events and the number of their keys for recognising duplicates.

    A key does not contain its event's offset, so only numbers can be compared. Keys are pruned some days after their
    event, so only an older event may lack its key. A key has the latest time of its commit, so some keys count as newer
    than their events.
    """
    if keys.keys + closed > events:
        more = f" and {closed} in closing entries" if closed else ""
        yield f"bridge_event_key: {keys.keys} keys{more}, but only {events} events"
    elif keys.keys_since < keys.events_since:
        yield (
            f"bridge_event_key: {keys.keys_since} keys for the {keys.events_since} events of the last 7 days, "
            "in which none may be missing"
        )


def _by_reason(snapshot: Snapshot) -> dict[str, int]:
    return {
        reason.value: sum(getattr(one, reason.value) for one in snapshot.windows.values()) for reason in DroppedReason
    }


def _account(
    source: TopicPartition,
    offsets: Offsets | None,
    ledger: Ledgers | None,
    log: LogBounds | None,
    *,
    is_raw: bool,
    counted: bool,
    balanced: bool,
) -> PartitionAccount:
    """Return the account of one partition; `counted` is whether its rows were counted."""
    places: dict[str, Any] = {name: getattr(offsets, name, None) for name in ("base_offset", "next_offset")}
    sums: dict[str, Any] = {name: getattr(offsets, name, 0) for name in _SUMS}
    rows: dict[str, Any] = {name: getattr(ledger, name, 0) if counted else None for name in _ROWS}
    return PartitionAccount(
        topic=source.topic,
        partition=source.partition,
        kind="raw" if is_raw else "retry",
        log_start=log.start if log else None,
        log_end=log.end if log else None,
        unread=max(0, log.end - max(log.start, offsets.next_offset if offsets else 0)) if log else None,
        balanced=balanced,
        **places,
        **sums,
        **rows,
    )


def _totals(snapshot: Snapshot, accounts: list[PartitionAccount], raw_topics: set[str]) -> AuditTotals:
    offsets, ledgers, keys = snapshot.offsets.values(), snapshot.ledgers, snapshot.keys
    raw = [one for one in accounts if one.topic in raw_topics]
    rows = None if ledgers is None else ledgers.values()
    counted: Collection[Offsets | Ledgers] = offsets if rows is None else rows
    persisted = sum(one.normalized for one in offsets) if rows is None else sum(one.persisted for one in rows)
    return AuditTotals(
        read=sum(one.read for one in raw),
        persisted=persisted,
        dropped=sum(one.dropped for one in counted),
        dropped_by_reason=_by_reason(snapshot) if snapshot.reasons is None else dict(snapshot.reasons),
        retried=sum(one.retried for one in counted),
        waiting=None if rows is None else sum(one.waiting for one in rows),
        healed=None if rows is None else sum(one.healed for one in rows),
        stale=sum(one.stale for one in accounts),
        skipped=sum(one.skipped for one in accounts),
        lost=sum(one.lost for one in accounts),
        unread=sum(one.unread or 0 for one in raw),
        keys=keys.keys if keys else None,
        keys_pruned=max(0, persisted - keys.keys) if keys else None,
        dropped_became=snapshot.became,
        replays=snapshot.replays,
        removed=None if rows is None else sum(map(removed_records, snapshot.removals.closed.values())),
        removals=None if rows is None else snapshot.removals.entries,
    )


def _outcomes(rows: Sequence[Offsets | Windows]) -> tuple[int, int, int]:
    return sum(one.normalized for one in rows), sum(one.retried for one in rows), sum(one.dropped for one in rows)


def _written(counts: tuple[int, int, int]) -> str:
    return f"{counts[0]} normalized, {counts[1]} retried, {counts[2]} dropped"
