"""An operator's pauses, in virtual time: paused events wait, none is lost or dead-lettered, and the rest continues."""

from collections.abc import Callable

from support.events.making import BRAKE_LIMITS, POLICY, REGISTRY
from support.events.stream import Stream
from support.virtual_time import run_virtually

from schemas.pipeline.breaker import BreakerState
from schemas.pipeline.registry import Registry
from schemas.reasons import ErrorClass

PAUSED: Registry = REGISTRY | {"shop": REGISTRY["shop"]._replace(paused=True)}


def test_a_paused_partition_is_not_read_and_the_others_go_on() -> None:
    """The pause may begin before or during reading; a resumed partition continues at its offset."""

    async def main(already: bool) -> Stream:
        stream = Stream(2)
        if not already:
            stream.produce(0, event_id="before")
        async with stream.running():
            await stream.settled()
            stream.paused = {stream.raw[0]: "paused by somebody: ticket 12"}
            await stream.until(lambda: stream.raw[0] in stream.source.paused, "the pause")
            for number in range(5):
                stream.produce(0, event_id=f"a-{number}")
                stream.produce(1, event_id=f"b-{number}")
            began = stream.now_ms()
            await stream.until(lambda: stream.now_ms() > began + 60_000, "a minute")
            assert stream.store.offsets[stream.raw[0]].next_offset == (0 if already else 1)
            assert stream.store.offsets[stream.raw[1]].next_offset == 5
            stream.paused = {}
            await stream.settled()
        return stream

    for already in (True, False):
        stream = run_virtually(main(already))
        stream.assert_balanced()
        assert len(stream.store.events) == (10 if already else 11)


def test_a_paused_partition_stays_paused_through_outages_and_the_brake() -> None:
    """Neither the end of an outage nor a reset of the breaker resumes it."""

    async def main() -> Stream:
        stream = Stream(2, limits=BRAKE_LIMITS)
        stream.store.brake = BreakerState(engaged=True, by_hand=True)
        for partition in range(2):
            stream.produce(partition, value=b"{")
        async with stream.running():
            await stream.until(lambda: set(stream.raw) <= stream.source.paused, "both held")
            stream.paused = {stream.raw[0]: "paused by somebody: ticket 12"}
            stream.failing["stored"] = 3
            began = stream.now_ms()
            await stream.until(lambda: stream.now_ms() > began + 60_000, "a minute")
            stream.store.brake = BreakerState(released=True)
            await stream.until(lambda: len(stream.dead_letters()) == 1, "what is not paused")
            began = stream.now_ms()
            await stream.until(lambda: stream.now_ms() > began + 60_000, "a minute")
            assert stream.store.offsets[stream.raw[0]].next_offset == 0
            stream.paused = {}
            await stream.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert len(stream.dead_letters()) == 2


def parked(stream: Stream) -> Callable[[], bool]:
    return lambda: all(
        row.error_class is ErrorClass.SCRIPT_PAUSED and row.retry_count > POLICY.max_retries + 2
        for row in stream.store.ledger.values()
    )


def test_events_of_a_paused_script_wait_and_block_nobody() -> None:
    """Valid and broken events wait longer than any retry and end normally once resumed."""

    async def main() -> Stream:
        stream = Stream(2)
        stream.registry = PAUSED
        for number in range(5):
            stream.produce(event_id=f"shop-{number}")
            stream.produce(event_id=f"blog-{number}", site_id=2, script_id="blog")
        stream.produce(event_id="broken", event_type="")
        stream.produce(event_id="shop-0")
        async with stream.running():
            await stream.until(lambda: len(stream.store.events) == 5, "the other script's events")
            await stream.until(parked(stream), "more tries than are allowed")
            assert stream.dead_letters() == []
            assert "else: event_type: " in next(
                row.last_error for row in stream.store.ledger.values() if row.event_id == "broken"
            )
            stream.assert_balanced_so_far()
            stream.registry = REGISTRY
            await stream.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert len(stream.store.events) == 10
    reasons = [row.error_class for row in stream.store.ledger.values() if row.dropped_reason is not None]
    assert sorted(reasons) == [ErrorClass.DUPLICATE_EVENT_ID, ErrorClass.SCHEMA_VIOLATION]


def test_events_that_wait_for_a_pause_have_no_part_in_the_brake() -> None:
    """Any number of waiting events leaves the breaker closed."""

    async def main() -> Stream:
        stream = Stream(limits=BRAKE_LIMITS._replace(min_events=20, run_length=20))
        stream.registry = PAUSED
        for number in range(100):
            stream.produce(event_id=f"e-{number}", event_type="" if number % 2 else "click")
        async with stream.running():
            await stream.until(parked(stream), "all parked")
        return stream

    stream = run_virtually(main())
    assert stream.calls["engage"] == 0
