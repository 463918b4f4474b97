"""What every sink does with the ledger and the attempts' tokens: on memory and Postgres."""

import pytest
from support.events.making import DLQ, RAW, RETRY_1, batch
from support.memory.source import MemoryRecord

from schemas.errors import BatchRefused
from schemas.pipeline.ledger import Scope
from schemas.pipeline.record import Provenance, TopicPartition

from .conftest import RETRY, Bench, Event


async def test_a_waiting_event_heals(bench: Bench) -> None:
    """WAITING(1) and the right token of a normalised retry: finished, no reason, one event of attempt 2."""
    origin = Provenance(RAW, 0, 0)
    await bench.commit(bench.record(0, script_id="nowhere"))
    await bench.commit(bench.retry(0, origin, 2, event_id="e-0"))
    row = (await bench.world.ledger())[origin]
    assert (row.finished, row.dropped_reason, row.waiting_until, row.retry_count) == (True, None, None, 1)
    assert await bench.world.events() == [Event("e-0", "click", 2, origin)]


async def test_a_waiting_event_waits_again(bench: Bench) -> None:
    """WAITING(1) and a retryable failure: WAITING(2), whose token is attempt 3."""
    origin = Provenance(RAW, 0, 0)
    await bench.commit(bench.record(0, script_id="nowhere"))
    await bench.commit(bench.retry(0, origin, 2, script_id="nowhere"))
    row = (await bench.world.ledger())[origin]
    assert (row.finished, row.retry_count, row.waiting_until is None) == (False, 2, False)
    assert (await bench.sink.ledger([origin]))[origin].awaits(3)


async def test_tries_used_up_end_in_a_drop(bench: Bench) -> None:
    """WAITING(max) and a failure: DROPPED as retry_exhausted, with the last error's class."""
    origin = Provenance(RAW, 0, 0)
    await bench.settle(batch(bench.record(0, script_id="nowhere")))
    await bench.settle(batch(bench.retry(0, origin, 2, script_id="nowhere")))
    await bench.settle(batch(bench.retry(1, origin, 3, script_id="nowhere")))
    row = (await bench.world.ledger())[origin]
    assert (row.finished, row.dropped_reason, row.error_class) == (True, "retry_exhausted", "unknown_script")
    assert (row.retry_count, row.waiting_until, row.disposition) == (2, None, "open")
    assert [one.topic for one in bench.publisher.published] == [RETRY_1, "t.retry.2s", DLQ]


@pytest.mark.parametrize(("value", "reason"), [(b"{", "invalid_payload_json"), (None, "duplicate_event_id")])
async def test_a_waiting_event_is_dropped(bench: Bench, value: bytes | None, reason: str) -> None:
    """WAITING(1) and a fatal error or a duplicate: DROPPED; a duplicate has no dead letter."""
    origin = Provenance(RAW, 0, 1)
    await bench.commit(bench.record(0, event_id="x"), bench.record(1, event_id="x", script_id="nowhere"))
    await bench.commit(bench.retry(0, origin, 2, value=value, event_id="x"))
    row = (await bench.world.ledger())[origin]
    assert (row.finished, row.dropped_reason, row.retry_count) == (True, reason, 1)
    assert row.disposition == (None if reason == "duplicate_event_id" else "open")
    assert await bench.world.events() == [Event("x", "click", 1, Provenance(RAW, 0, 0))]


@pytest.mark.parametrize("attempt", [1, 3])
async def test_a_wrong_token_moves_the_offset_and_nothing_else(bench: Bench, attempt: int) -> None:
    """A stale token is counted, and nothing else is written or published."""
    origin = Provenance(RAW, 0, 0)
    await bench.commit(bench.record(0, script_id="nowhere"))
    before = await bench.everything()
    committed = await bench.settle(batch(bench.retry(0, origin, attempt)))
    after = await bench.everything()
    assert committed.tally == (0, 0, 0, 0, 1, 0)
    assert after[:3] == before[:3]
    assert (await bench.world.totals())[RETRY] == (0, 1, 0, 0, 0, 0, 1, 0, 0)
    assert bench.publisher.published == []


async def test_a_second_copy_after_the_token_was_used_is_stale(bench: Bench) -> None:
    """A crash between Kafka and Postgres leaves two copies of a retry record; the second changes nothing."""
    origin = Provenance(RAW, 0, 0)
    await bench.commit(bench.record(0, script_id="nowhere"))
    committed = await bench.settle(batch(bench.retry(0, origin, 2, event_id="e-0"), bench.retry(1, origin, 2)))
    assert committed.tally[:5] == (1, 1, 0, 0, 1)
    again = await bench.settle(batch(bench.retry(2, origin, 2)))
    assert again.tally.stale == 1
    assert len(await bench.world.events()) == 1


async def test_two_copies_in_two_partitions_of_one_settlement_are_one_attempt(bench: Bench) -> None:
    """The second copy is stale in any partition, and the ledger row heals without a reason."""
    origin, elsewhere = Provenance(RAW, 0, 0), TopicPartition(RETRY_1, 1)
    await bench.sink.claim({elsewhere: 0})
    await bench.commit(bench.record(0, script_id="nowhere"))
    copy = bench.retry(0, origin, 2, event_id="e-0")
    moved = MemoryRecord(*elsewhere, 0, copy.value, copy.key, copy.timestamp, 1, copy.headers)
    committed = await bench.settle(batch(copy), batch(moved))
    assert committed.tally[:5] == (1, 1, 0, 0, 1)
    row = (await bench.world.ledger())[origin]
    assert (row.finished, row.dropped_reason) == (True, None)


async def test_a_token_that_was_used_since_it_was_judged_is_refused(bench: Bench) -> None:
    """The compare-and-set fails because another owner has committed in between."""
    origin, elsewhere = Provenance(RAW, 0, 0), TopicPartition(RETRY_1, 1)
    await bench.sink.claim({elsewhere: 0})
    await bench.commit(bench.record(0, script_id="nowhere"))
    copy = bench.retry(0, origin, 2, event_id="e-0")
    late = await bench.judge(batch(MemoryRecord(*elsewhere, 0, copy.value, b"", copy.timestamp, 1, copy.headers)))
    await bench.commit(copy)
    before = await bench.everything()
    with pytest.raises(BatchRefused, match="no longer awaits attempt 2"):
        await bench.sink.commit(late)
    assert await bench.everything() == before


async def test_the_body_of_what_waits_comes_from_the_ledger(bench: Bench) -> None:
    """A retry uses the raw key, value and headers, nulls included, because a retry topic can be forged."""
    whole = bench.record(0, script_id="nowhere", key=None, headers=[("a", b"1"), ("a", None), ("b", b"\xff")])
    await bench.commit(whole)
    (named,) = (await bench.sink.ledger([Provenance(RAW, 0, 0)])).values()
    assert named.body is None, "few bytes name very many of them"
    (state,) = (await bench.sink.ledger([Provenance(RAW, 0, 0)], bodies=True)).values()
    assert state.body is not None
    assert (state.body.key, state.body.value, tuple(state.body.headers)) == (None, whole.value, tuple(whole.headers))
    (due,) = await bench.sink.due(bench.world.now_ms + 10**6, Scope(), 10)
    assert due[:4] == (Provenance(RAW, 0, 0), 1, 2, due.body)
    assert due.error_class == "unknown_script"
    assert "nowhere" in due.error
    assert due.received_at == state.received_at
    assert due.first_failed_at == state.first_failed_at
    assert tuple(due.body.headers) == tuple(whole.headers)
    assert await bench.sink.due(bench.world.now_ms, Scope(), 10) == []
    assert await bench.sink.due(bench.world.now_ms + 10**6, Scope(site_ids=(2,)), 10) == []
    assert await bench.sink.due(bench.world.now_ms + 10**6, Scope(partitions=(1, 2)), 10) == []
    assert len(await bench.sink.due(bench.world.now_ms + 10**6, Scope(partitions=(0,)), 10)) == 1
