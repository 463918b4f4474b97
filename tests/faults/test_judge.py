"""The judge: it reports nothing about a correct run, and finds every single defect."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from tools.faults.evidence import Entry, Evidence, Logged, Row, Window
from tools.faults.journal import Journal
from tools.faults.judge import judge
from tools.faults.records import DROPPED_AS, Flaw

TOPIC = "t.raw"
TIME_MS = 1_760_000_000_000
FLAWS = [Flaw.NONE, Flaw.NONE, Flaw.DUPLICATE, Flaw.BROKEN, Flaw.UNKNOWN, Flaw.LATE, Flaw.REFUSED, Flaw.COPY]


def journal_of_all_flaws() -> Journal:
    """Make one record of each flaw, all acknowledged, each on the partition that it names."""
    journal = Journal(1, partitions=3, began_ms=TIME_MS)
    for flaw in FLAWS:
        index = journal.add(flaw, 6 if flaw is Flaw.COPY else None)
        journal.acknowledge(index, journal.record(index).partition, index)
    return journal


def evidence_of(journal: Journal) -> Evidence:
    """Make the evidence that a correct product would leave."""
    raw, letters, rows, entries = {}, [], [], {}
    windows: Counter[tuple[str, int, int, str]] = Counter()
    for index in range(len(journal)):
        record, flaw = journal.record(index), journal.flaw(index)
        place = (record.partition, index)
        logged = raw[place] = Logged(*place, record.key, record.value, record.headers, TIME_MS)
        retries = 3 if flaw is Flaw.UNKNOWN else 1 if flaw is Flaw.LATE else 0
        reason = "duplicate_event_id" if flaw is Flaw.DUPLICATE else DROPPED_AS.get(flaw)
        if reason is None:
            rows.append(Row(place, *record.identity, "s", "click", 1 + retries, index, TIME_MS))
        if reason is not None or retries:
            entries[place] = Entry(place, True, reason, retries, record.key, record.value)
        for attempt in range(retries):
            windows[TOPIC if attempt == 0 else "t.retry.1s", place[0], TIME_MS // 60_000, "retried"] += 1
        end = "normalized" if reason is None else "dropped"
        windows["t.retry.1s" if retries else TOPIC, place[0], TIME_MS // 60_000, end] += 1
        if reason not in (None, "duplicate_event_id"):
            own = (
                ("bridge-provenance", f"{TOPIC}:{place[0]}:{index}".encode()),
                ("bridge-dropped-reason", reason.encode()),
            )
            letters.append(logged._replace(headers=logged.headers + own))
    reasons = Counter(entry.dropped_reason for entry in entries.values() if entry.dropped_reason)
    counted = [
        Window(topic, partition, minute, **({"normalized": 0, "retried": 0, "dropped": 0} | {end: count}))
        for (topic, partition, minute, end), count in windows.items()
    ]
    return Evidence(TOPIC, raw, letters, rows, entries, counted, Counter(reasons))


def test_a_faultless_run_is_acquitted() -> None:
    journal = journal_of_all_flaws()
    verdict = judge(journal, evidence_of(journal))

    assert verdict.problems == []
    assert verdict.figures["accepted"] == len(FLAWS)
    assert [verdict.figures[name] for name in ("rows", "duplicates", "dropped", "waiting")] == [4, 1, 3, 0]


def first_entry(evidence: Evidence, reason: str) -> Entry:
    return next(entry for entry in evidence.entries.values() if entry.dropped_reason == reason)


def lose_a_row(evidence: Evidence) -> None:
    evidence.rows.pop(0)


def double_a_row(evidence: Evidence) -> None:
    evidence.rows.append(evidence.rows[0])


def write_the_duplicate_too(evidence: Evidence) -> None:
    entry = first_entry(evidence, "duplicate_event_id")
    del evidence.entries[entry.place]
    evidence.rows.append(evidence.rows[0]._replace(place=entry.place, index=2))


def drop_a_sound_one(evidence: Evidence) -> None:
    row = evidence.rows.pop(0)
    logged = evidence.raw[row.place]
    evidence.entries[row.place] = Entry(row.place, True, "duplicate_event_id", 0, logged.key, logged.value)


def swap_two_rows(evidence: Evidence) -> None:
    one, other = evidence.rows[:2]
    evidence.rows[:2] = [one._replace(place=other.place), other._replace(place=one.place)]


def give_another_reason(evidence: Evidence) -> None:
    entry = first_entry(evidence, "invalid_payload_json")
    evidence.entries[entry.place] = entry._replace(dropped_reason="schema_violation")


def lose_a_letter(evidence: Evidence) -> None:
    evidence.letters.pop(0)


def change_a_letters_byte(evidence: Evidence) -> None:
    evidence.letters[0] = evidence.letters[0]._replace(value=b"{broken ")


def take_a_header_from_a_letter(evidence: Evidence) -> None:
    evidence.letters[0] = evidence.letters[0]._replace(headers=evidence.letters[0].headers[1:])


def forget_the_payload(evidence: Evidence) -> None:
    entry = first_entry(evidence, "retry_exhausted")
    evidence.entries[entry.place] = entry._replace(payload=None)


def raise_a_window(evidence: Evidence) -> None:
    window = evidence.windows[0]
    evidence.windows[0] = window._replace(normalized=window.normalized + 1)


def move_a_window(evidence: Evidence) -> None:
    evidence.windows[0] = evidence.windows[0]._replace(minute=1)


def lose_a_record_of_kafka(evidence: Evidence) -> None:
    evidence.raw.popitem()


def change_the_time(evidence: Evidence) -> None:
    evidence.rows[0] = evidence.rows[0]._replace(received_ms=TIME_MS + 1)


def unbalance(evidence: Evidence) -> None:
    evidence.audit_problems.append("raw-0: 1 offset")


def leave_kafka_behind(evidence: Evidence) -> None:
    evidence.uncommitted.append("t.raw-0: 1 of 2")


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (lose_a_row, "raw events that nothing accounts for"),
        (double_a_row, "raw events with more than one end"),
        (write_the_duplicate_too, "events with two rows"),
        (drop_a_sound_one, "sound events without a row"),
        (swap_two_rows, "rows that say something else than their raw event"),
        (change_the_time, "rows that say something else than their raw event"),
        (give_another_reason, "events that ended otherwise than they should"),
        (lose_a_letter, "drops without a dead letter"),
        (change_a_letters_byte, "dead letters that are not whole"),
        (take_a_header_from_a_letter, "dead letters that are not whole"),
        (forget_the_payload, "ledger rows that don't hold the record"),
        (raise_a_window, "all windows count"),
        (move_a_window, "windows of the raw topic that differ"),
        (lose_a_record_of_kafka, "acknowledged records that Kafka does not hold"),
        (unbalance, "problems that the audit found"),
        (leave_kafka_behind, "offsets in Kafka behind the end"),
    ],
)
def test_everything_that_is_wrong_is_found(tamper: Callable[[Evidence], None], said: str) -> None:
    journal = journal_of_all_flaws()
    evidence = replace(evidence_of(journal))
    tamper(evidence)

    assert any(problem.startswith(said) for problem in judge(journal, evidence).problems)


def test_what_waits_is_accounted_for() -> None:
    """A pending retry is not lost; it is counted as waiting."""
    journal = journal_of_all_flaws()
    evidence = evidence_of(journal)
    late = next(entry for entry in evidence.entries.values() if entry.dropped_reason is None)
    evidence.entries[late.place] = late._replace(finished=False)
    evidence.rows = [row for row in evidence.rows if row.place != late.place]
    evidence.windows = [one for one in evidence.windows if not (one.topic == "t.retry.1s" and one.normalized)]
    verdict = judge(journal, evidence)

    assert verdict.figures["waiting"] == 1
    # The event has no outcome yet, so not the one that its flaw requires.
    assert [problem.split(":")[0] for problem in verdict.problems] == ["events that ended otherwise than they should"]
