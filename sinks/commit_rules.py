"""Rules that every sink shares; pure functions.

They decide
- whether a batch matches the stored offsets and the ledger (the table of events whose first attempt failed),
- which of several events with the same key is persisted,
- how far each partition's offset advances.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from schemas.errors import BatchRefused
from schemas.pipeline.ledger import LedgerState
from schemas.pipeline.log_identity import LogMark, mark_of
from schemas.pipeline.outcome import Candidate, Failure, Outcomes, Tally
from schemas.pipeline.record import Batch, Provenance, TopicPartition


def first_of_each_key(outcomes: Iterable[Outcomes]) -> tuple[dict[bytes, Candidate], list[Candidate]]:
    """Return the first candidate of each key, in the batch's order, and the later candidates with the same keys.

    A candidate is an event that passed its attempt, and becomes a row unless it is a duplicate.
    """
    winners: dict[bytes, Candidate] = {}
    copies = []
    for one in outcomes:
        for candidate in one.candidates:
            if winners.setdefault(candidate.key, candidate) is not candidate:
                copies.append(candidate)  # noqa: PERF401  # `setdefault` fills `winners` too
    return winners, copies


class Progress(NamedTuple):
    """The new values of a partition's row in the table of offsets, and the counts to add to that row.

    `mark` identifies the batch's last record; None if the batch has no records.
    """

    source: TopicPartition
    next_offset: int
    counts: Tally
    mark: LogMark | None


def progress(outcomes: Sequence[Outcomes], duplicates: Sequence[Failure]) -> list[Progress]:
    """Return the new offset and the counts of each partition, in the order in which a commit locks the offset rows."""
    late = dict.fromkeys((one.batch.source.in_kafka for one in outcomes), 0)
    for failure in duplicates:
        late[TopicPartition(failure.attempt.record.topic, failure.attempt.record.partition)] += 1
    rows = []
    for one in sorted(outcomes, key=lambda item: item.batch.source):
        batch = one.batch
        retried = sum(failure.dropped_reason is None for failure in one.failures)
        duplicated = late[batch.source.in_kafka]
        counts = Tally(
            processed=len(one.candidates) + len(one.failures),
            normalized=len(one.candidates) - duplicated,
            retried=retried,
            dropped=len(one.failures) - retried + duplicated,
            stale=one.stale,
            skipped=batch.skipped,
        )
        mark = mark_of(batch.records[-1]) if batch.records else None
        rows.append(Progress(batch.source, batch.next, counts, mark))
    return rows


def tally(rows: Iterable[Progress]) -> Tally:
    """Return the counts of a commit, summed over all its partitions."""
    return Tally(*map(sum, zip(*(row.counts for row in rows), strict=True)))


def ledger_touched(outcomes: Iterable[Outcomes]) -> dict[Provenance, int]:
    """Return the raw events whose ledger rows these outcomes change, with the number of the attempt.

    The ledger is the table of events whose first attempt failed. Its row must still wait for this attempt.
    """
    return {one.provenance: one.number for each in outcomes for one in each.of_ledger if one.number > 1}


def replays(outcomes: Iterable[Outcomes]) -> dict[Provenance, tuple[str, Provenance]]:
    """Return the dead letters whose replays had their first attempt in these outcomes.

    Each dead letter's value is the replay's id, and the provenance (topic, partition, offset) of the record that the
    replay sent.
    """
    return {
        one.replay.replay_of: (one.replay.replay_id, one.provenance)
        for each in outcomes
        for one in each.of_ledger
        if one.replay is not None and one.number == 1
    }


def logged(outcomes: Iterable[Outcomes]) -> list[Batch]:
    """Return the batches that were read from a Kafka log.

    Only a commit of these batches advances an offset. All other batches came from the ledger (the table of events
    whose first attempt failed).
    """
    return [one.batch for one in outcomes if not one.batch.from_ledger]


def check_offsets(stored: Mapping[TopicPartition, int], outcomes: Sequence[Outcomes]) -> None:
    """Raise BatchRefused unless every batch begins at the stored offset of its partition."""
    for batch in logged(outcomes):
        found = stored.get(batch.source)
        if found != batch.prev:
            what = "is missing" if found is None else f"is {found}"
            raise BatchRefused(f"the stored offset of {batch.source} {what}, the batch begins at {batch.prev}")


def check_positions(stored: Mapping[TopicPartition, int], positions: Mapping[TopicPartition, int]) -> None:
    """Raise BatchRefused if a partition's stored offset differs from the offset up to which this worker committed."""
    for source, offset in positions.items():
        if stored.get(source) != offset:
            raise BatchRefused(
                f"the stored offset of {source} is {stored.get(source)}, but this worker committed up to {offset}"
            )


def check_tokens(
    states: Mapping[Provenance, LedgerState],
    touched: Mapping[Provenance, int],
    replayed: Mapping[Provenance, tuple[str, Provenance]],
) -> None:
    """Raise BatchRefused if the ledger row of a failed or replayed event has changed since its outcome was computed."""
    for provenance, attempt in touched.items():
        state = states.get(provenance)
        if state is None or not state.awaits(attempt):
            raise BatchRefused(
                f"the ledger no longer awaits attempt {attempt} of {provenance}; another commit has changed the row"
            )
    for provenance, (replay_id, _) in replayed.items():
        state = states.get(provenance)
        if state is None or not state.claimed_by(replay_id):
            raise BatchRefused(f"the dead letter {provenance} is no longer claimed by the replay {replay_id}")
