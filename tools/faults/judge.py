"""The judge: a pure function from the journal and the evidence of a run to every broken promise."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tools.faults.evidence import Entry, Evidence, Logged, Place, Row
from tools.faults.journal import Journal
from tools.faults.records import DROPPED_AS, Flaw, Record, index_of

_MOST = 12
_DUPLICATE = "duplicate_event_id"
_PROVENANCE = "bridge-provenance"
_REASON = "bridge-dropped-reason"
_NULL = "bridge-null"


@dataclass
class Verdict:
    """The broken promises, each described in a sentence, and the figures of the run."""

    problems: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)

    def found(self, what: str, cases: list[object]) -> None:
        """Record a broken promise with its first cases; nothing without cases."""
        if cases:
            shown = "; ".join(map(str, cases[:_MOST]))
            self.problems.append(f"{what}: {len(cases)}: {shown}")


def judge(journal: Journal, evidence: Evidence) -> Verdict:
    """Check every promise, one after another."""
    verdict = Verdict()
    indices = _logged(journal, evidence, verdict)
    rows: dict[Place, list[Row]] = defaultdict(list)
    for row in evidence.rows:
        rows[row.place].append(row)
    _accounted(evidence, rows, verdict)
    _rows(journal, evidence, indices, verdict)
    _once(journal, evidence, indices, verdict)
    _reasons(journal, evidence, indices, rows, verdict)
    _letters(evidence, verdict)
    _windows(evidence, rows, verdict)
    verdict.found("problems that the audit found", list(evidence.audit_problems))
    verdict.found("offsets in Kafka behind the end", list(evidence.uncommitted))
    return verdict


def _logged(journal: Journal, evidence: Evidence, verdict: Verdict) -> dict[Place, int]:
    """Map places to records of the journal; each acknowledged record must be at its place, byte for byte."""
    indices: dict[Place, int] = {}
    strange, changed, aborted = [], [], []
    for place, logged in evidence.raw.items():
        index = index_of(logged.headers)
        if index is None or index >= len(journal):
            strange.append(place)
            continue
        indices[place] = index
        if index in journal.aborted:
            aborted.append(place)
        if not _same(journal.record(index), logged):
            changed.append(place)
    missing = [
        (index, place)
        for index in range(len(journal))
        if (place := journal.place(index)) is not None and indices.get(place) != index
    ]
    verdict.found("records on the raw topic that were never sent", strange)
    verdict.found("records that differ from what was sent", changed)
    verdict.found("records of an aborted transaction that can be read", aborted)
    verdict.found("acknowledged records that Kafka does not hold (of Kafka, not of the product)", missing)
    verdict.figures |= {
        "sent": len(journal),
        "acknowledged": journal.acknowledged,
        "accepted": len(evidence.raw),
        "without an answer": journal.unanswered,
    }
    return indices


def _same(sent: Record, logged: Logged) -> bool:
    return (sent.key, sent.value, sent.headers) == (logged.key, logged.value, logged.headers)


def _accounted(evidence: Evidence, rows: dict[Place, list[Row]], verdict: Verdict) -> None:
    """Check that each raw offset is one of row, drop and wait: accepted = rows + duplicates + dropped + waiting."""
    lost, twice, counts = [], [], Counter[str]()
    for place in evidence.raw:
        entry, events = evidence.entries.get(place), len(rows.get(place, ()))
        ends = [
            *["row"] * events,
            *(["dropped"] if entry is not None and entry.dropped_reason else []),
            *(["waiting"] if entry is not None and not entry.finished else []),
        ]
        if not ends:
            lost.append(place)
        elif len(ends) > 1:
            twice.append((place, ends))
        else:
            duplicate = entry is not None and entry.dropped_reason == _DUPLICATE
            counts["duplicates" if duplicate else ends[0]] += 1
    verdict.found("raw events that nothing accounts for", lost)
    verdict.found("raw events with more than one end", twice)
    verdict.found("rows of no raw event", [one.place for one in evidence.rows if one.place not in evidence.raw])
    verdict.found("ledger rows of no raw event", [place for place in evidence.entries if place not in evidence.raw])
    verdict.figures |= {
        "rows": counts["row"],
        "duplicates": counts["duplicates"],
        "dropped": counts["dropped"],
        "waiting": counts["waiting"],
        "stale": evidence.stale,
    }
    if sum(counts.values()) != len(evidence.raw):
        verdict.problems.append(f"{len(evidence.raw)} were accepted, {sum(counts.values())} are accounted for")


def _rows(journal: Journal, evidence: Evidence, indices: dict[Place, int], verdict: Verdict) -> None:
    """Check that each row equals the record at its provenance."""
    wrong = []
    for row in evidence.rows:
        index = indices.get(row.place)
        if index is None:
            continue
        identity = journal.record(index).identity
        said = (row.site_id, row.event_id, row.index, row.event_type, row.received_ms)
        if said != (*identity, index, "click", evidence.raw[row.place].timestamp):
            wrong.append((row, index))
    verdict.found("rows that say something else than their raw event", wrong)
    healed = sum(row.attempt > 1 for row in evidence.rows)
    verdict.figures["healed"] = healed


def _once(journal: Journal, evidence: Evidence, indices: dict[Place, int], verdict: Verdict) -> None:
    """Check that no identity has two rows, and that each identity of a valid record has one."""
    counted = Counter((row.site_id, row.event_id) for row in evidence.rows)
    sound = {
        journal.record(index).identity
        for index in set(indices.values())
        if journal.flaw(index) in (Flaw.NONE, Flaw.DUPLICATE, Flaw.COPY)
    }
    verdict.found("events with two rows", [identity for identity, count in counted.items() if count > 1])
    verdict.found("sound events without a row", sorted(sound - counted.keys()))
    verdict.figures["distinct sound"] = len(sound)


def _reasons(
    journal: Journal, evidence: Evidence, indices: dict[Place, int], rows: dict[Place, list[Row]], verdict: Verdict
) -> None:
    """Check that each raw event has the outcome and the reason that its flaw requires."""
    wrong = []
    for place, index in indices.items():
        entry = evidence.entries.get(place)
        end = "row" if place in rows else None if entry is None else entry.dropped_reason
        if end not in _allowed(journal.flaw(index)):
            wrong.append((place, index, journal.flaw(index).name, end))
    verdict.found("events that ended otherwise than they should", wrong)
    counted = Counter(entry.dropped_reason for entry in evidence.entries.values() if entry.dropped_reason)
    if counted != +evidence.reasons:
        verdict.problems.append(f"the windows count drops {dict(+evidence.reasons)}, the ledger {dict(counted)}")
    verdict.figures |= {f"dropped as {reason}": count for reason, count in sorted(counted.items())}


def _allowed(flaw: Flaw) -> set[str | None]:
    if flaw is Flaw.LATE:
        # Whether its script was registered in time depends on the faults.
        return {"row", "retry_exhausted", _DUPLICATE}
    if flaw in DROPPED_AS:
        ends: set[str | None] = {DROPPED_AS[flaw]}
        return ends | {_DUPLICATE} if flaw is Flaw.REFUSED else ends
    return {"row", _DUPLICATE}


def _letters(evidence: Evidence, verdict: Verdict) -> None:
    """Check that each drop but a duplicate has a dead letter, whose copies all hold the raw record byte for byte."""
    wanted = {
        place: entry
        for place, entry in evidence.entries.items()
        if entry.dropped_reason and entry.dropped_reason != _DUPLICATE
    }
    right: Counter[Place] = Counter()
    broken, uncounted = [], 0
    for letter in evidence.letters:
        place = _provenance(letter, evidence.raw_topic)
        raw = None if place is None else evidence.raw.get(place)
        if place is None or raw is None or not _whole(letter, raw):
            broken.append((letter.partition, letter.offset, place))
        elif place in wanted and _last(letter, _REASON) == str(wanted[place].dropped_reason).encode():
            right[place] += 1
        else:
            uncounted += 1
    verdict.found("dead letters that are not whole", broken)
    verdict.found("drops without a dead letter", [place for place in wanted if place not in right])
    verdict.found(
        "ledger rows that don't hold the record",
        [place for place, one in wanted.items() if not _kept(one, evidence.raw.get(place))],
    )
    verdict.figures |= {
        "dead letters": len(right),
        "second copies of dead letters": sum(right.values()) - len(right),
        "dead letters that don't count": uncounted,
    }


def _kept(entry: Entry, raw: Logged | None) -> bool:
    return raw is not None and (entry.key, entry.payload) == (raw.key, raw.value)


def _last(letter: Logged, name: str) -> bytes | None:
    return next((value for header, value in reversed(letter.headers) if header == name), None)


def _provenance(letter: Logged, topic: str) -> Place | None:
    said = (_last(letter, _PROVENANCE) or b"").decode("ascii", "replace").rsplit(":", 2)
    return (int(said[1]), int(said[2])) if len(said) == 3 and said[0] == topic else None


def _whole(letter: Logged, raw: Logged) -> bool:
    """Whether the copy is complete: first the raw record's headers in order, then the stream's own."""
    count = len(raw.headers)
    own = letter.headers[count:]
    emptied = raw.key is None and raw.value is None
    body = (raw.key, b"" if emptied else raw.value)
    return (
        letter.headers[:count] == raw.headers
        and bool(own)
        and own[0][0] == _PROVENANCE
        and (letter.key, letter.value) == body
        and emptied == (_last(letter, _NULL) is not None)
    )


def _windows(evidence: Evidence, rows: dict[Place, list[Row]], verdict: Verdict) -> None:
    """Recompute the raw topic's windows from its records; over all topics compare the sums."""
    expected: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
    for place, logged in evidence.raw.items():
        entry = evidence.entries.get(place)
        first = "retried" if entry is not None and (entry.retry_count or not entry.finished) else "dropped"
        if entry is None and place in rows:
            first = "normalized"
        expected[place[0], logged.timestamp // 60_000][first] += 1
    counted: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
    totals: Counter[str] = Counter()
    for window in evidence.windows:
        counts = Counter(normalized=window.normalized, retried=window.retried, dropped=window.dropped)
        totals += counts
        if window.topic == evidence.raw_topic:
            counted[window.partition, window.minute] += counts
    wrong = [
        f"partition {key[0]} minute {key[1]}: {dict(counted[key])} for {dict(expected[key])}"
        for key in sorted(expected.keys() | counted.keys())
        if +counted[key] != +expected[key]
    ]
    verdict.found("windows of the raw topic that differ from its records' outcomes", wrong)
    entries = evidence.entries.values()
    outcomes = Counter(
        normalized=len(evidence.rows),
        retried=sum(entry.retry_count for entry in entries),
        dropped=sum(entry.dropped_reason is not None for entry in entries),
    )
    if +totals != +outcomes:
        verdict.problems.append(f"all windows count {dict(totals)}, the rows {dict(outcomes)}")
    verdict.figures["retries"] = outcomes["retried"]
