"""The lane of the retry topics in virtual time: never early, never late, and never before its ledger row."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from support.events.making import NOW_MS, REGISTRY, RETRY_1, RETRY_2, body, judged, record
from support.events.stream import Stream
from support.memory.sink import MemoryLedgerRow, MemoryOffset, MemoryStore
from support.virtual_time import run_virtually

from schemas.instants import instant
from schemas.pipeline.record import Provenance, TopicPartition
from schemas.pipeline.registry import Script
from streams.worker.retry_lane import EARLY_SECONDS

TIER = TopicPartition(RETRY_1, 0)
POLL_MS = 250
LATE = {"late": Script("late", 1, None, enabled=True)}


class Timed(Stream):
    """A stream with a clock that tests can read."""

    async def watch(self, source: TopicPartition, offset: int) -> int:
        """The milliseconds until the offset is committed."""
        await self.until(
            lambda: source in self.store.offsets and self.store.offsets[source].next_offset > offset,
            f"{source} {offset}",
        )
        return self.now_ms() - NOW_MS


def token(provenance: Provenance, attempt: int = 2, **more: str) -> list[tuple[str, bytes]]:
    said = {"bridge-provenance": str(provenance), "bridge-attempt": str(attempt), **more}
    return [(name, text.encode()) for name, text in said.items()]


def write(stream: Stream, headers: Sequence[tuple[str, bytes]], *, source: TopicPartition = TIER, **given: Any) -> None:
    given.setdefault("timestamp", stream.now_ms())
    stream.source.append(source, body(occurred_at=NOW_MS), headers=headers, **given)


def test_each_retry_waits_for_its_delay_and_no_longer() -> None:
    """A retry runs between its delay and 1.1 delays plus a poll; then the next tier, then the drop."""

    async def main() -> tuple[Timed, list[int]]:
        stream = Timed()
        stream.produce(script_id="late")
        async with stream.running():
            moments = [await stream.watch(stream.raw[0], 0), await stream.watch(TIER, 0)]
            moments.append(await stream.watch(TopicPartition(RETRY_2, 0), 0))
            await stream.settled()
        return stream, moments

    stream, (first, second, third) = run_virtually(main())
    published = [moment - NOW_MS for moment in stream.published_at_ms]
    assert 1000 <= published[1] - published[0] <= 1100 + POLL_MS
    assert 2000 <= published[2] - published[1] <= 2200 + POLL_MS
    assert first < second < third
    (row,) = stream.store.ledger.values()
    assert (row.dropped_reason, row.retry_count) == ("retry_exhausted", 2)
    stream.assert_balanced()


def test_a_script_that_is_registered_in_time_heals() -> None:
    """The row has attempt 2, and later events are not delayed."""

    async def main() -> Timed:
        stream = Timed()
        stream.produce(script_id="late", event_id="slow")
        stream.produce(event_id="quick")
        async with stream.running():
            await stream.watch(stream.raw[0], 1)
            assert [event.event_id for event in stream.store.events] == ["quick"]
            stream.registry = REGISTRY | LATE
            await stream.settled()
        return stream

    stream = run_virtually(main())
    assert [(event.event_id, event.attempt) for event in stream.store.events] == [("quick", 1), ("slow", 2)]
    stream.assert_balanced()


@pytest.mark.parametrize(
    ("due_ms", "timestamp_ms", "earliest", "latest"),
    [
        (500, 0, 500, 500),
        (10**15, 0, 1100, 1100),
        (None, 0, 1100, 1100),
        (10**15, 10**12, 1100, 1100),
        (-NOW_MS, 0, 0, 0),
    ],
)
def test_due_by_the_header_but_never_beyond_1_1_delays(
    due_ms: int | None, timestamp_ms: int, earliest: int, latest: int
) -> None:
    """The limit holds for every header and record time, also years ahead."""

    async def main() -> int:
        stream = Timed()
        due = {} if due_ms is None else {"bridge-due-at": str(NOW_MS + due_ms)}
        write(stream, token(Provenance("t.raw", 0, 99), **due), timestamp=NOW_MS + timestamp_ms)
        async with stream.running():
            return await stream.watch(TIER, 0)

    assert earliest <= run_virtually(main()) <= latest + POLL_MS


def test_a_head_that_waits_holds_only_its_own_partition() -> None:
    """Other partitions of the same and other tiers continue."""

    async def main() -> dict[TopicPartition, int]:
        stream = Timed(2)
        due = {"bridge-due-at": str(NOW_MS + 100)}
        write(stream, token(Provenance("t.raw", 0, 99)))
        write(stream, token(Provenance("t.raw", 0, 99), **due), source=TopicPartition(RETRY_1, 1))
        write(stream, token(Provenance("t.raw", 0, 99), **due), source=TopicPartition(RETRY_2, 0))
        places = [TopicPartition(RETRY_1, 1), TopicPartition(RETRY_2, 0), TIER]
        async with stream.running():
            return {place: await stream.watch(place, 0) for place in places}

    moments = run_virtually(main())
    assert [moment <= 100 + POLL_MS for moment in moments.values()] == [True, True, False]


def test_records_behind_a_head_that_is_due_are_cut_where_they_are_not() -> None:
    """Due records are committed together, and the rest waits for its own time."""

    async def main() -> list[int]:
        stream = Timed()
        for due in (100, 100, 900):
            write(stream, token(Provenance("t.raw", 0, 99), **{"bridge-due-at": str(NOW_MS + due)}))
        async with stream.running():
            return [await stream.watch(TIER, offset) for offset in range(3)]

    first, second, third = run_virtually(main())
    assert first == second < 900 <= third


def test_a_retry_waits_for_its_ledger_row() -> None:
    """A copy that is read before its batch commits is not stale."""

    async def main() -> Timed:
        stream = Timed()
        origin = stream.produce(script_id="late")
        stream.failing["commit"] = 8
        stream.registry = REGISTRY
        async with stream.running():
            await stream.until(lambda: stream.publisher.published, "the copy to be published")
            stream.registry = REGISTRY | LATE
            await stream.until(lambda: stream.now_ms() > NOW_MS + 3000, "the copy to be due long since")
            assert stream.store.offsets[TIER].next_offset == 0, "it waits"
            assert stream.store.offsets[stream.raw[0]].next_offset == 0
            await stream.settled()
        assert [event.provenance for event in stream.store.events] == [origin]
        return stream

    stream = run_virtually(main())
    assert stream.store.offsets[TIER].stale == 0
    stream.assert_balanced()


@pytest.mark.parametrize(
    "headers",
    [
        [],
        token(Provenance("t.raw", 0, 99)),
        token(Provenance("t.raw", 77, 0)),
        token(Provenance("another.raw", 0, 0)),
        token(Provenance("t.raw", 0, 0)),
        token(Provenance("t.raw", 0, 0), 9),
        [("bridge-provenance", b"rubbish"), ("bridge-attempt", b"2")],
    ],
)
def test_forged_records_are_stale_and_hold_nothing_up(headers: list[tuple[str, bytes]]) -> None:
    """Tokens of no record, another topic or an event that never failed are stale; a real retry behind them heals."""

    async def main() -> Timed:
        stream = Timed()
        stream.produce(event_id="sound")
        write(stream, headers)
        stream.produce(script_id="late", event_id="slow")
        async with stream.running():
            await stream.watch(stream.raw[0], 1)
            stream.registry = REGISTRY | LATE
            await stream.settled()
        return stream

    stream = run_virtually(main())
    assert stream.store.offsets[TIER].stale == 1
    assert [event.event_id for event in stream.store.events] == ["sound", "slow"]
    stream.assert_balanced()


def _noting(
    rewind: Callable[[TopicPartition, int], None], noted: list[TopicPartition]
) -> Callable[[TopicPartition, int], None]:
    def rewound(source: TopicPartition, offset: int) -> None:
        noted.append(source)
        rewind(source, offset)

    return rewound


def test_after_an_outage_what_waits_for_its_time_still_waits() -> None:
    """The end of an outage does not resume partitions whose head is not due."""

    async def main() -> tuple[int, int]:
        stream = Timed(2)
        write(stream, token(Provenance("t.raw", 0, 99)), source=TopicPartition(RETRY_2, 0))
        async with stream.running():
            await stream.until(lambda: TopicPartition(RETRY_2, 0) in stream.source.paused, "the head to be held")
            resumed: list[TopicPartition] = []
            stream.source.rewind = _noting(stream.source.rewind, resumed)  # type: ignore[method-assign]
            stream.failing["commit"] = 2
            write(stream, token(Provenance("t.raw", 0, 99), **{"bridge-due-at": str(NOW_MS)}))
            quick = await stream.watch(TIER, 0)
            assert TopicPartition(RETRY_2, 0) in stream.source.paused
            assert TopicPartition(RETRY_2, 0) not in resumed, "it was not even read"
            return quick, await stream.watch(TopicPartition(RETRY_2, 0), 0)

    quick, slow = run_virtually(main())
    assert quick < 2200 <= slow <= 2200 + POLL_MS


def test_a_restored_store_makes_the_copy_wait_for_its_raw_record() -> None:
    """The raw record is read first, then its copy finds the row and heals it once."""

    async def main() -> Timed:
        stream = Timed()
        origin = stream.produce(script_id="late")
        async with stream.running():
            await stream.watch(stream.raw[0], 0)
        stream.store = MemoryStore()
        stream.store.offsets[stream.raw[0]] = MemoryOffset(0, 0)
        stream.registry = REGISTRY | LATE
        async with stream.running():
            await stream.settled()
        assert [(event.provenance, event.attempt) for event in stream.store.events] == [(origin, 1)]
        return stream

    stream = run_virtually(main())
    assert stream.store.offsets[TIER].stale == 1, "the row was never written, as the event normalised this time"
    stream.assert_balanced()


def test_a_copy_that_comes_before_its_token_waits_for_it() -> None:
    """The publishing worker has not committed yet; a stale verdict would lose the only copy."""

    async def main() -> Timed:
        stream = Timed()
        origin = stream.produce(script_id="late")
        async with stream.running():
            await stream.watch(stream.raw[0], 0)
            row = stream.store.ledger[origin]
            second = TopicPartition(RETRY_2, 0)
            due = str(stream.now_ms())
            write(stream, token(origin, 3, **{"bridge-due-at": due}), source=second)
            await stream.watch(TIER, 0)
            assert stream.store.offsets[second].next_offset == 0 or row.normalized
            await stream.settled()
        return stream

    stream = run_virtually(main())
    (row,) = stream.store.ledger.values()
    assert (row.dropped_reason, row.retry_count) == ("retry_exhausted", 2)
    stream.assert_balanced()


def waiting_row() -> MemoryLedgerRow:
    """A row that waits for attempt 2, and whose own copy is not due for long."""
    (failure,) = judged(record(7, script_id="nowhere")).failures
    then = instant(NOW_MS)
    return MemoryLedgerRow(
        1, "nowhere", "e", None, failure.attempt.record.value, (), then, then, 1, then, "unknown",
        failure.error_class, normalized=False, dropped_reason=None, disposition=None,
    )  # fmt: skip


def test_a_forged_token_of_the_future_does_not_hold_its_partition_for_ever() -> None:
    """After a time limit the token is stale and later records continue."""

    async def main() -> int:
        stream = Timed()
        stream.registry = REGISTRY
        origin = Provenance(stream.raw[0].topic, 0, 7)
        stream.store.ledger[origin] = waiting_row()
        write(stream, token(origin, 3, **{"bridge-due-at": "1"}))
        async with stream.running():
            return await stream.watch(TIER, 0)

    assert EARLY_SECONDS * 1000 <= run_virtually(main()) <= EARLY_SECONDS * 1000 + 5000


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("events", [1, 5])
def test_forged_tokens_of_the_future_hold_their_partition_once(events: int, later: bool) -> None:
    """One time limit covers all copies and all events at the head."""

    async def main() -> int:
        stream = Timed()
        stream.registry = REGISTRY
        origins = [Provenance(stream.raw[0].topic, 0, 7 + number % events) for number in range(5)]
        for origin in origins:
            stream.store.ledger[origin] = waiting_row()
            write(stream, token(origin, 3, **{"bridge-due-at": "1"}))
        async with stream.running():
            if later:
                await stream.until(lambda: stream.now_ms() > NOW_MS + 1000, "the first copy to wait")
                for origin in origins:
                    write(stream, token(origin, 3, **{"bridge-due-at": "1"}))
            return await stream.watch(TIER, 9 if later else 4)

    assert EARLY_SECONDS * 1000 <= run_virtually(main()) <= EARLY_SECONDS * 1000 + 5000
