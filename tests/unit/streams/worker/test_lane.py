"""A lane on memory adapters in virtual time: order, backoff, refusals, loss and defects."""

import asyncio
from collections.abc import Callable
from math import inf

import pytest
from support.events.making import RAW
from support.events.stream import Stream
from support.memory.sink import MemoryOffset
from support.virtual_time import run_virtually

from schemas.pipeline.pause import PauseReason
from schemas.pipeline.record import Provenance, TopicPartition
from streams.source.kafka import IDLE_SECONDS


def test_events_are_settled_and_kafka_is_told() -> None:
    """Rows and offsets are committed, then the Kafka offset for lag tools."""

    async def main() -> Stream:
        stream = Stream(2)
        for number in range(5):
            stream.produce(number % 2, event_id=f"e-{number}")
        stream.source.leave_hole(stream.raw[0], 2)
        async with stream.running():
            await stream.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert len(stream.store.events) == 5
    assert stream.store.offsets[stream.raw[0]].skipped == 2
    assert {source: stream.source.committed[source] for source in stream.raw} == {stream.raw[0]: 5, stream.raw[1]: 2}


@pytest.mark.parametrize("seam", ["source", "publisher", "commit", "stored", "claim"])
def test_an_outage_is_waited_out_in_place_and_in_order(seam: str) -> None:
    """No event is dropped, doubled or reordered by repeated failures, and polling continues."""

    async def main() -> tuple[Stream, int]:
        stream = Stream()
        for number in range(6):
            stream.produce(value=b"{" if number == 3 else None, event_id=f"e-{number}")
        stream.failing[seam] = 12
        async with stream.running() as lanes:
            await stream.until(lambda: stream.failing[seam] <= 4, "the outage under way")
            raw = lanes[0]
            if seam != "source":
                assert raw.waiting
                assert set(stream.raw) <= stream.source.paused
            polled = stream.calls["source"]
            await stream.settled()
            assert not raw.waiting
        return stream, stream.calls["source"] - polled

    stream, polls = run_virtually(main())
    stream.assert_balanced()
    assert [event.event_id for event in stream.store.events] == [f"e-{number}" for number in (0, 1, 2, 4, 5)]
    assert len(stream.dead_letters()) == 1, "what was acknowledged once is not published again"
    assert polls >= 4


def test_outcomes_are_frozen_while_the_store_is_away() -> None:
    """Registering a script during the outage does not change earlier outcomes."""

    async def main() -> Stream:
        stream = Stream()
        stream.produce(script_id="off")
        stream.failing["commit"] = 3
        async with stream.running():
            await stream.until(lambda: stream.failing["commit"] < 3, "the first try")
            stream.registry = {"off": stream.registry["off"]._replace(enabled=True)}
            await stream.settled()
        return stream

    stream = run_virtually(main())
    assert [event.attempt for event in stream.store.events] == [2]
    stream.assert_balanced()


def test_a_refused_batch_rewinds_to_what_is_stored() -> None:
    """A batch that does not continue the offset writes nothing; reading continues at the stored offset."""

    async def main() -> Stream:
        stream = Stream()
        for number in range(4):
            stream.produce(event_id=f"e-{number}")
        async with stream.running():
            await stream.settled()
            claims = stream.calls["claim"]
            stream.source.rewind(stream.raw[0], 1)
            await stream.until(lambda: stream.calls["claim"] > claims, "the offsets to be read again")
            stream.produce(event_id="e-4")
            await stream.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert len(stream.store.events) == 5
    assert stream.source.position(stream.raw[0]) == 5


def test_a_source_that_ran_ahead_leaves_no_hole() -> None:
    """Skipped records are read after the refusal."""

    async def main() -> Stream:
        stream = Stream()
        async with stream.running():
            await stream.until(lambda: stream.source.position(stream.raw[0]) == 0, "the claim")
            for number in range(4):
                stream.produce(event_id=f"e-{number}")
            stream.source.rewind(stream.raw[0], 2)
            await stream.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert sorted(event.event_id for event in stream.store.events) == [f"e-{number}" for number in range(4)]


def test_a_restored_store_is_filled_from_the_log() -> None:
    """The lane rewinds to offsets that moved back."""

    async def main() -> Stream:
        stream = Stream()
        for number in range(4):
            stream.produce(event_id=f"e-{number}")
        async with stream.running():
            await stream.settled()
        stream.store.events.clear()
        stream.store.keys.clear()
        stream.store.windows.clear()
        stream.store.offsets[stream.raw[0]] = MemoryOffset(0, 0)
        async with stream.running():
            await stream.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert len(stream.store.events) == 4


def test_records_that_retention_deleted_unread_are_loss() -> None:
    """The loss is recorded, whether the deletion comes before or during reading."""

    async def main() -> Stream:
        stream = Stream()
        for number in range(6):
            stream.produce(event_id=f"e-{number}")
        stream.store.offsets[stream.raw[0]] = MemoryOffset(0, 0)
        stream.source.delete_before(stream.raw[0], 2)
        async with stream.running():
            await stream.settled()
            stream.source.rewind(stream.raw[0], 0)
            stream.produce(event_id="e-6")
            await stream.settled()
        return stream

    stream = run_virtually(main())
    assert stream.store.offsets[stream.raw[0]].lost == 2
    assert len(stream.store.events) == 5
    stream.assert_balanced()


def _shorter(stream: Stream) -> str:
    stream.source.make_anew(stream.raw[0])
    return "it ends at 1, but was read up to 3"


def _other_records(stream: Stream) -> str:
    stream.source.make_anew(stream.raw[0])
    for number in range(4):
        stream.produce(event_id=f"other-{number}")
    return "it has another record at offset 2"


def _other_cluster(stream: Stream) -> str:
    stream.source.cluster_id = "elsewhere"
    return "it belongs to the cluster elsewhere"


@pytest.mark.parametrize("change", [_shorter, _other_records, _other_cluster])
def test_a_foreign_log_holds_its_partition_until_it_is_adopted(change: Callable[[Stream], str]) -> None:
    """A replaced log is not read until adopted, then from its beginning under a new name; others continue."""

    async def main() -> Stream:
        stream = Stream(2)
        old, other = stream.raw
        for number in range(3):
            stream.produce(event_id=f"e-{number}")
        async with stream.running():
            await stream.settled()
        why = change(stream)
        stream.produce(event_id="new")
        if change is not _other_cluster:
            stream.produce(1, event_id="of the other partition")
        async with stream.running():
            held = stream.store.offsets[old]
            await stream.until(lambda: held.held is not None, "the partition held")
            assert why in (held.held or "")
            if change is not _other_cluster:
                await stream.until(lambda: stream.store.offsets[other].next_offset == 1, "the other partition")
            assert held.next_offset == 3
            for source in [*stream.raw, *stream.retries]:
                if stream.store.offsets[source].held:
                    adopted = TopicPartition(f"{source.topic}#2", source.partition)
                    stream.store.offsets[adopted] = MemoryOffset(0, 0, cluster=stream.source.cluster_id)
            new = stream.store.offsets[TopicPartition(f"{RAW}#2", 0)]
            end = (await stream.source.ends([old]))[old]
            await stream.until(lambda: new.next_offset == end, "the adopted log")
        return stream

    stream = run_virtually(main())
    provenances = {event.event_id: event.provenance for event in stream.store.events}
    assert provenances["e-2"] == Provenance(RAW, 0, 2)
    assert provenances["new"].topic == f"{RAW}#2"
    # Events that are in both logs are found by their key.
    assert len(stream.store.events) == len(stream.store.keys)
    for source, row in stream.store.offsets.items():
        assert row.next_offset - row.base_offset == row.live + row.stale + row.skipped + row.lost, source


def test_a_log_whose_last_record_retention_deleted_is_not_foreign() -> None:
    """Without that record no comparison is possible, and unread records count as loss."""

    async def main() -> Stream:
        stream = Stream()
        for number in range(3):
            stream.produce(event_id=f"e-{number}")
        async with stream.running():
            await stream.settled()
        stream.produce(event_id="lost")
        stream.produce(event_id="left")
        stream.source.delete_before(stream.raw[0], 4)
        async with stream.running():
            await stream.settled()
        return stream

    stream = run_virtually(main())
    assert stream.store.offsets[stream.raw[0]].lost == 1
    assert [event.event_id for event in stream.store.events] == ["e-0", "e-1", "e-2", "left"]


def test_an_idle_lane_follows_offsets_that_moved() -> None:
    """A restored Postgres or a skipped record is noticed without a new record or a restart."""

    async def main() -> Stream:
        stream = Stream()
        stream.produce()
        async with stream.running():
            await stream.settled()
            stream.store.events.clear()
            stream.store.keys.clear()
            stream.store.windows.clear()
            stream.store.offsets[stream.raw[0]] = MemoryOffset(0, 0)
            await stream.until(lambda: stream.store.events, "the event read again")
        return stream

    run_virtually(main()).assert_balanced()


def test_a_lane_that_waits_ends_at_once_and_leaves_the_batch_unread() -> None:
    """A rebalance does not wait for an outage; the next owner begins at the same offset."""

    async def main() -> Stream:
        stream = Stream()
        stream.produce()
        stream.failing["commit"] = 10**6
        async with stream.running():
            await stream.until(lambda: stream.calls["commit"] > 3, "some tries")
        assert stream.source.position(stream.raw[0]) == 0
        stream.failing.clear()
        async with stream.running():
            await stream.settled()
        return stream

    run_virtually(main()).assert_balanced()


def test_an_idle_lane_proves_that_it_is_idle() -> None:
    """The watchdog leaves an idle worker alone; a stuck fetch is no proof of idleness."""

    async def main() -> None:
        stream = Stream()
        loop = asyncio.get_running_loop()
        async with stream.running() as lanes:
            await stream.until(lambda: loop.time() > 60, "a minute without records")
            assert loop.time() - lanes[0].progressed_at < 20
            stream.source.pause(stream.raw)
            stream.produce()
            await stream.until(lambda: loop.time() > 120, "a minute with a stuck fetch")
            assert loop.time() - lanes[0].progressed_at > 50
            stream.source.resume(stream.raw)
            await stream.settled()

    run_virtually(main())


def test_two_owners_of_a_partition_write_each_event_once() -> None:
    """Both read the same records, and the offset decides whose commit counts."""

    async def main() -> Stream:
        stream, twin = Stream(), Stream()
        twin.store = stream.store
        for number in range(30):
            for one in (stream, twin):
                one.produce(event_id=f"e-{number}")
        async with stream.running(), twin.running():
            await stream.settled()
            await twin.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert [event.provenance for event in stream.store.events] == [Provenance("t.raw", 0, n) for n in range(30)]
    assert stream.store.offsets[TopicPartition("t.raw", 0)].epoch > 1


def test_a_fetch_that_slips_through_a_pause_is_read_again() -> None:
    """Records that a poll returns during a pause are read again without a refused commit."""

    async def main() -> Stream:
        stream = Stream()
        for number in range(5):
            stream.produce(event_id=f"e-{number}")
        stream.source.pause = lambda _sources: None  # type: ignore[method-assign]
        object.__setattr__(stream.parts, "max_records", 2)
        stream.failing["commit"] = 3
        async with stream.running():
            await stream.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert [event.event_id for event in stream.store.events] == [f"e-{number}" for number in range(5)]
    assert stream.calls["claim"] == 2, "one for each lane: nothing had to begin anew"


@pytest.mark.parametrize("max_records", [1, 2])
def test_a_sound_copy_of_a_refused_event_counts(max_records: int) -> None:
    """A processed event is not yet persisted, so its copy in the same or the next batch is no duplicate of a refused row."""

    async def main() -> Stream:
        stream = Stream(max_records=max_records)
        stream.store.refuse = lambda event: "no purchases" if event.event_type == "purchase" else None
        stream.produce(event_id="e", event_type="purchase")
        stream.produce(event_id="e")
        async with stream.running():
            await stream.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert ([event.event_type for event in stream.store.events], len(stream.dead_letters())) == (["click"], 1)


@pytest.mark.parametrize(("paused", "polls"), [(False, 13), (True, 60)])
def test_lanes_without_events_poll_seldom(*, paused: bool, polls: int) -> None:
    """There are two lanes. One with a paused partition polls oftener, because the time to resume may come."""

    async def main() -> int:
        stream = Stream()
        stream.produce()
        async with stream.running() as lanes:
            await stream.settled()
            if paused:
                lanes[0]._pauses.pause(PauseReason.RETRY_DUE, stream.raw[0], inf)
            await asyncio.sleep(IDLE_SECONDS + 1)
            polled = stream.calls["source"]
            await asyncio.sleep(10)
            return stream.calls["source"] - polled

    assert run_virtually(main()) == pytest.approx(polls, abs=3)
