"""What every sink does with offsets, keys, events and windows: the same suite on memory and Postgres."""

from collections.abc import Sequence

import pytest
from support.events.making import DLQ, RAW, RETRY_1, SOURCE, batch, body
from support.memory.source import MemoryRecord

from schemas.errors import BatchRefused, InvariantViolation, RowRejected
from schemas.pipeline.record import Provenance, TopicPartition

from .conftest import OTHER, REFUSED, Bench, Event


def named(events: Sequence[Event]) -> list[tuple[str, int]]:
    return sorted((event.event_id, event.provenance.offset) for event in events)


async def test_a_claim_makes_rows_at_the_beginning_and_keeps_those_that_stand(bench: Bench) -> None:
    """The first owner's row begins at the log's start; a later owner gets the stored row."""
    new = TopicPartition(RAW, 7)
    assert await bench.sink.claim({new: 40}) == {new: 40}
    assert await bench.sink.claim({new: 90, SOURCE: 3}) == {new: 40, SOURCE: 0}
    assert (await bench.world.totals())[new].base == 40


async def test_stored_tells_the_offsets_and_leaves_out_what_has_no_row(bench: Bench) -> None:
    """`stored` omits a partition that no owner has claimed."""
    await bench.commit(bench.record(0))
    assert await bench.sink.stored([SOURCE, TopicPartition("nobody", 3)]) == {SOURCE: 1}


async def test_lose_records_the_gap_once(bench: Bench) -> None:
    """Records deleted unread count as lost and the offset moves past them; an earlier log start loses nothing."""
    assert await bench.sink.lose(SOURCE, 5) == 5
    assert await bench.sink.lose(SOURCE, 5) == 0
    assert await bench.sink.lose(SOURCE, 2) == 0
    totals = (await bench.world.totals())[SOURCE]
    assert (totals.next, totals.lost) == (5, 5)


async def test_a_commit_writes_everything(bench: Bench) -> None:
    """One commit holds each outcome: an event, a retry, a drop and two holes."""
    committed = await bench.commit(
        bench.record(0),
        bench.record(1, script_id="nowhere"),
        bench.record(4, value=b"{"),
        following=5,
    )
    assert committed.tally == (3, 1, 1, 1, 0, 2)
    assert len(committed.keys) == 1
    assert await bench.world.events() == [Event("e-0", "click", 1, Provenance(RAW, 0, 0))]
    ledger = await bench.world.ledger()
    waiting, dropped = ledger[Provenance(RAW, 0, 1)], ledger[Provenance(RAW, 0, 4)]
    assert (waiting.finished, waiting.retry_count, waiting.dropped_reason) == (False, 1, None)
    assert waiting.waiting_until is not None
    assert waiting.payload is not None
    assert (dropped.finished, dropped.retry_count, dropped.dropped_reason) == (True, 0, "invalid_payload_json")
    assert (dropped.payload, dropped.key, dropped.disposition) == (b"{", b"k", "open")
    assert (await bench.world.totals())[SOURCE] == (0, 5, 3, 1, 1, 1, 0, 2, 0)
    assert await bench.world.keys() == 1


async def test_the_committed_states_are_read_back(bench: Bench) -> None:
    """`ledger` returns the states for the next attempt and omits unknown provenances."""
    await bench.commit(bench.record(0, script_id="nowhere"), bench.record(1, value=b"["))
    one, two, none = (Provenance(RAW, 0, offset) for offset in (0, 1, 9))
    states = await bench.sink.ledger([one, two, none])
    assert set(states) == {one, two}
    assert states[one].awaits(2)
    assert not states[one].awaits(1)
    assert not states[two].awaits(1)
    assert round(states[one].received_at.timestamp() * 1000) == bench.world.now_ms
    assert round(states[one].first_failed_at.timestamp() * 1000) == bench.world.now_ms


@pytest.mark.parametrize("prev", [0, 3])
async def test_a_batch_that_does_not_continue_the_offset_changes_nothing(bench: Bench, prev: int) -> None:
    """A commit with a batch behind or beyond the stored offset is refused as a whole."""
    await bench.commit(bench.record(0), following=1)
    judged = await bench.judge(
        batch(bench.record(0, source=OTHER, event_id="other")), batch(bench.record(prev, event_id="again"))
    )
    before = await bench.everything()
    with pytest.raises(BatchRefused, match=rf"is 1, the batch begins at {prev}"):
        await bench.sink.commit(judged)
    assert await bench.everything() == before


async def test_a_missing_offset_row_is_a_refusal(bench: Bench) -> None:
    """Without a row to compare, two first owners would not be fenced from each other."""
    unclaimed = TopicPartition(RAW, 9)
    before = await bench.everything()
    with pytest.raises(BatchRefused, match=r"stored offset of .* is missing"):
        await bench.commit(bench.record(0, source=unclaimed))
    assert await bench.everything() == before


async def test_of_two_owners_only_one_settles_a_batch(bench: Bench) -> None:
    """A zombie's commit is refused after the other owner has moved the offset."""
    zombie = bench.world.sink()
    judged = await bench.judge(batch(bench.record(0)))
    await bench.commit(bench.record(0))
    before = await bench.everything()
    with pytest.raises(BatchRefused):
        await zombie.commit(judged)
    await zombie.close()
    assert await bench.everything() == before


async def test_a_duplicate_in_the_same_batch_loses_to_the_first(bench: Bench) -> None:
    """The ledger notes the duplicate without its payload, and no dead letter is published."""
    committed = await bench.settle(batch(bench.record(0, event_id="x"), bench.record(1, event_id="x")))
    assert committed.tally[:4] == (2, 1, 0, 1)
    assert named(await bench.world.events()) == [("x", 0)]
    row = (await bench.world.ledger())[Provenance(RAW, 0, 1)]
    assert (row.finished, row.dropped_reason, row.payload, row.disposition) == (True, "duplicate_event_id", None, None)
    assert bench.publisher.published == []


async def test_a_duplicate_in_a_later_batch_or_partition_loses(bench: Bench) -> None:
    """The key table holds for all partitions; the same id of another site is another event."""
    await bench.commit(bench.record(0, event_id="x"))
    committed = await bench.commit(bench.record(1, event_id="x"))
    assert (committed.tally.dropped, committed.keys) == (1, [])
    await bench.settle(
        batch(
            bench.record(0, source=OTHER, event_id="x"),
            bench.record(1, source=OTHER, event_id="x", site_id=2, script_id="blog"),
        )
    )
    provenances = [event.provenance for event in await bench.world.events()]
    assert provenances == [Provenance(RAW, 0, 0), Provenance(RAW, 1, 1)]
    assert set(await bench.world.ledger()) == {Provenance(RAW, 0, 1), Provenance(RAW, 1, 0)}


async def test_duplicates_across_the_batches_of_one_settlement_are_counted_where_they_came(bench: Bench) -> None:
    """Each partition's offset row counts its own duplicates."""
    committed = await bench.settle(
        batch(bench.record(0, event_id="x")), batch(bench.record(0, source=OTHER, event_id="x"))
    )
    totals = await bench.world.totals()
    assert (totals[SOURCE].normalized, totals[SOURCE].dropped) == (1, 0)
    assert (totals[OTHER].normalized, totals[OTHER].dropped) == (0, 1)
    assert committed.tally[:4] == (2, 1, 0, 1)


async def test_a_redelivered_batch_changes_nothing(bench: Bench) -> None:
    """Guarantee 2: events, ledger, windows, offsets and keys stay unchanged."""
    records = [bench.record(0), bench.record(1, script_id="nowhere"), bench.record(2, value=b"x")]
    await bench.settle(batch(*records))
    before = await bench.everything()
    with pytest.raises(BatchRefused):
        await bench.settle(batch(*records))
    assert await bench.everything() == before
    assert len(bench.publisher.published) == 2, "what is refused is refused before anything is published"


async def test_a_first_attempt_that_meets_its_own_ledger_row_is_a_defect(bench: Bench) -> None:
    """Offsets rule this case out, so it stops the process instead of duplicating an event."""
    await bench.commit(bench.record(0, value=b"{"))
    judged = await bench.judge(batch(bench.record(0, value=b"{"), prev=1, following=2))
    before = await bench.everything()
    with pytest.raises(InvariantViolation, match="own provenance"):
        await bench.sink.commit(judged)
    assert await bench.everything() == before


async def test_a_refused_row_writes_nothing_and_says_so(bench: Bench) -> None:
    """RowRejected carries the SQLSTATE of the constraint."""
    before = await bench.everything()
    with pytest.raises(RowRejected) as caught:
        await bench.commit(bench.record(0), bench.record(1, event_type=REFUSED), bench.record(2, value=b"{"))
    assert caught.value.sqlstate == "23514"
    assert await bench.everything() == before


@pytest.mark.parametrize("bad", [{0}, {4}, {2, 3}, {0, 3, 6}, set(range(7))])
async def test_bisecting_finds_exactly_the_bad_rows(bench: Bench, bad: set[int]) -> None:
    """Bad rows become dead letters and all other rows are written, for any pattern of bad rows."""
    records = [bench.record(one, event_type=REFUSED if one in bad else "click") for one in range(7)]
    (judged,) = await bench.judge(batch(*records))
    assert {one.candidate.attempt.record.offset for one in await bench.sink.rejected([judged])} == bad
    committed = await bench.settler.settle([judged])
    assert {event.provenance.offset for event in await bench.world.events()} == set(range(7)) - bad
    ledger = await bench.world.ledger()
    assert {provenance.offset for provenance in ledger} == bad
    assert {(row.dropped_reason, row.disposition) for row in ledger.values()} == {("sink_rejected_row", "open")}
    assert committed.tally[:4] == (7, 7 - len(bad), 0, len(bad))
    assert [one.topic for one in bench.publisher.published] == [DLQ] * len(bad)


async def test_the_copy_of_a_refused_first_still_counts(bench: Bench) -> None:
    """The first of equal keys is chosen after the bad row is removed."""
    await bench.settle(
        batch(
            bench.record(0, event_id="x", event_type=REFUSED),
            bench.record(1, event_id="x"),
            bench.record(2, event_id="x"),
        )
    )
    assert named(await bench.world.events()) == [("x", 1)]
    reasons = {one.offset: row.dropped_reason for one, row in (await bench.world.ledger()).items()}
    assert reasons == {0: "sink_rejected_row", 2: "duplicate_event_id"}


async def test_a_bad_row_whose_copy_is_bad_too(bench: Bench) -> None:
    """Each copy is tried alone, and both are dropped with the store's reason."""
    await bench.settle(
        batch(bench.record(0, event_id="x", event_type=REFUSED), bench.record(1, event_id="x", event_type=REFUSED))
    )
    assert {row.dropped_reason for row in (await bench.world.ledger()).values()} == {"sink_rejected_row"}
    assert await bench.world.events() == []


async def test_a_refused_retry_leaves_the_ledger_dropped(bench: Bench) -> None:
    """A refused retry finishes its waiting ledger row as dropped."""
    origin = Provenance(RAW, 0, 0)
    await bench.settle(batch(bench.record(0, script_id="nowhere", event_type=REFUSED)))
    await bench.settle(batch(bench.retry(0, origin, 2, event_type=REFUSED)))
    row = (await bench.world.ledger())[origin]
    assert (row.finished, row.dropped_reason, row.retry_count) == (True, "sink_rejected_row", 1)


async def test_windows_and_totals_sum_up(bench: Bench) -> None:
    """Windows and totals agree: Σ normalized = events, Σ dropped = DROPPED rows, Σ retried = Σ retry_count."""
    origin = Provenance(RAW, 0, 1)
    await bench.settle(
        batch(
            bench.record(0),
            bench.record(1, script_id="nowhere"),
            bench.record(2, value=b"{"),
            bench.record(3, event_id="e-0"),
            bench.record(4, event_type=REFUSED),
            following=7,
        ),
        batch(bench.record(0, source=OTHER, event_id="o", site_id=2, script_id="blog")),
    )
    await bench.settle(batch(bench.retry(0, origin, 2, event_id="e-1")))
    windows, ledger, totals = (
        await bench.world.windows(), await bench.world.ledger(), await bench.world.totals(),
    )  # fmt: skip
    sums = [sum(column) for column in zip(*windows.values(), strict=True)]
    assert sums == [3, 1, 1, 0, 1, 1, 0]
    assert sums[0] == len(await bench.world.events()) == sum(one.normalized for one in totals.values())
    assert sums[1] == sum(row.retry_count for row in ledger.values()) == sum(one.retried for one in totals.values())
    dropped = [row for row in ledger.values() if row.dropped_reason is not None]
    assert sum(sums[2:]) == len(dropped) == sum(one.dropped for one in totals.values())
    assert {(key.site_id, key.topic, key.partition) for key in windows} == {
        (1, RAW, 0), (0, RAW, 0), (2, RAW, 1), (1, RETRY_1, 0),
    }  # fmt: skip
    assert {key.minute for key in windows} == {bench.world.now_ms // 60_000}
    for source, one in totals.items():
        assert one.next - one.base == one.live + one.stale + one.skipped + one.lost, source


async def test_headers_and_null_bodies_are_kept(bench: Bench) -> None:
    """A dead letter with null key and value is published as empty bytes with a marker and stored as null."""
    empty = MemoryRecord(RAW, 0, 0, None, None, bench.world.now_ms, 1, (("a", None), ("a", b"\xff")))
    await bench.settle(batch(empty))
    row = (await bench.world.ledger())[Provenance(RAW, 0, 0)]
    assert (row.payload, row.key, row.dropped_reason) == (None, None, "invalid_payload_json")
    (letter,) = bench.publisher.published
    assert (letter.key, letter.value) == (None, b"")
    assert letter.headers[:2] == (("a", None), ("a", b"\xff"))
    assert ("bridge-null", b"key,value") in letter.headers


async def test_odd_texts_are_stored(bench: Bench) -> None:
    """Any text field may hold tabs, newlines, backslashes and COPY's delimiters."""
    odd = 'a\tb\nc\\N\\.\r"d\\t'
    value = body(occurred_at=bench.world.now_ms, event_id=odd, user_agent=odd, properties={odd: odd})
    await bench.settle(batch(bench.record(0, value=value)))
    assert [event.event_id for event in await bench.world.events()] == [odd]
