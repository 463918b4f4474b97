"""What every sink does with replays and their claims: on memory and Postgres."""

from typing import Any

import pytest
from support.events.making import RAW, batch
from support.memory.source import MemoryRecord

from schemas.errors import BatchRefused
from schemas.pipeline.record import Provenance
from schemas.pipeline.sender import Sender

from .conftest import OTHER, Bench, Event

REPLAY_ID = "6f2d1e34-8a53-4a57-9d0b-0d5a3c0f8f11"


def replaying(bench: Bench, offset: int, of: Provenance, **given: Any) -> MemoryRecord:
    headers = {"bridge-replay-id": REPLAY_ID, "bridge-replay-of": str(of)}
    return bench.record(offset, headers=headers, **given)


async def test_a_claimed_replay_is_honoured_once(bench: Bench) -> None:
    """The old row stores its successor and keeps its reason; a second copy is stale."""
    old, new = Provenance(RAW, 0, 0), Provenance(RAW, 0, 1)
    await bench.commit(bench.record(0, value=b"{"))
    await bench.world.claim_dead_letter(old, REPLAY_ID)
    await bench.settle(batch(replaying(bench, 1, old, event_id="x"), replaying(bench, 2, old, event_id="x")))
    row = (await bench.world.ledger())[old]
    assert (row.disposition, row.replayed_as, row.dropped_reason) == ("replayed", str(new), "invalid_payload_json")
    assert await bench.world.events() == [Event("x", "click", 1, new)]
    later = await bench.settle(batch(replaying(bench, 3, old, event_id="x")))
    assert later.tally[:5] == (0, 0, 0, 0, 1)
    assert [key.replay for key in await bench.world.windows()].count(True) == 1


async def test_rows_of_replays_are_counted_apart(bench: Bench) -> None:
    """A sender's rows are those of its own events; a replay is an operator's."""
    old = Provenance(RAW, 0, 0)
    await bench.commit(bench.record(0, value=b"{"))
    await bench.world.claim_dead_letter(old, REPLAY_ID)
    one = await bench.settle(batch(replaying(bench, 1, old, event_id="x"), bench.record(2, event_id="y")))
    assert (one.senders[Sender.DIRECT], sum(one.senders.values()), one.replayed) == (1, 1, 1)
    unclaimed = await bench.settle(batch(replaying(bench, 3, Provenance(RAW, 0, 9), event_id="z")))
    assert (unclaimed.senders[Sender.DIRECT], unclaimed.replayed) == (1, 0)


async def test_two_copies_of_a_replay_in_two_partitions_are_one(bench: Bench) -> None:
    """Within one commit, too, the old row has one successor."""
    old = Provenance(RAW, 0, 0)
    await bench.commit(bench.record(0, value=b"{"))
    await bench.world.claim_dead_letter(old, REPLAY_ID)
    copy = replaying(bench, 1, old, event_id="x")
    moved = MemoryRecord(*OTHER, 0, copy.value, copy.key, copy.timestamp, 1, copy.headers)
    committed = await bench.settle(batch(copy), batch(moved))
    assert committed.tally[:5] == (1, 1, 0, 0, 1)


async def test_a_replay_that_fails_again_is_a_dead_letter_of_its_own(bench: Bench) -> None:
    """The new row names the replayed one, which counts as replayed."""
    old, new = Provenance(RAW, 0, 0), Provenance(RAW, 0, 1)
    await bench.commit(bench.record(0, value=b"{"))
    await bench.world.claim_dead_letter(old, REPLAY_ID)
    await bench.settle(batch(replaying(bench, 1, old, value=b"{")))
    ledger = await bench.world.ledger()
    assert (ledger[old].disposition, ledger[old].replayed_as) == ("replayed", str(new))
    assert (ledger[new].disposition, ledger[new].replay_of) == ("open", str(old))


async def test_a_replay_that_nobody_claimed_is_plain_data(bench: Bench) -> None:
    """A producer cannot change another event's outcome by naming it."""
    old = Provenance(RAW, 0, 0)
    await bench.commit(bench.record(0, value=b"{"))
    before = (await bench.world.ledger())[old]
    await bench.settle(batch(replaying(bench, 1, old, event_id="x")))
    assert await bench.world.events() == [Event("x", "click", 1, Provenance(RAW, 0, 1))]
    assert (await bench.world.ledger())[old] == before
    assert not any(key.replay for key in await bench.world.windows())


async def test_a_claim_that_was_cancelled_since_is_refused(bench: Bench) -> None:
    """A claim that is cancelled before the commit refuses the batch, which is then processed again."""
    old = Provenance(RAW, 0, 0)
    await bench.commit(bench.record(0, value=b"{"))
    await bench.world.claim_dead_letter(old, REPLAY_ID)
    judged = await bench.judge(batch(replaying(bench, 1, old)))
    await bench.world.claim_dead_letter(old, "00000000-0000-4000-8000-000000000000")
    before = await bench.everything()
    with pytest.raises(BatchRefused, match="no longer claimed"):
        await bench.sink.commit(judged)
    assert await bench.everything() == before
