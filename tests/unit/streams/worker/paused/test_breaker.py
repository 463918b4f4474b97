"""The circuit breaker on a lane, in virtual time: what it holds, what continues, and how it resets."""

from support.events.braked import LIMITS, braked, held, junk, waiting
from support.events.stream import Stream
from support.virtual_time import run_virtually

from schemas.pipeline.breaker import BreakerState
from schemas.pipeline.registry import Script
from sinks.windows import WindowKey

PROBE_SECONDS = 30.0


def storm(stream: Stream, count: int = 40, partition: int = 0) -> None:
    """Events that break the contract while the registry has the script on another site."""
    for number in range(count):
        stream.produce(partition, event_id=f"s-{partition}-{number}")


def moved(stream: Stream) -> None:
    """A registry with both scripts on other sites: every event is a violation."""
    stream.registry = {
        "shop": Script("shop", 7, 10, enabled=True),
        "blog": Script("blog", 8, None, enabled=True),
    }


def test_a_storm_is_held_before_it_is_published() -> None:
    """The batch that trips the breaker publishes no dead letter; earlier batches are unchanged."""

    async def main() -> Stream:
        stream = Stream(max_records=7, limits=LIMITS)
        stream.produce(event_id="first")
        async with stream.running():
            await stream.settled()
            moved(stream)
            storm(stream)
            await braked(stream)
            before = stream.calls["source"]
            await stream.until(lambda: stream.now_ms() > 1_760_000_010_000, "some time to pass")
            assert stream.calls["source"] > before + 10, "it keeps polling"
        return stream

    stream = run_virtually(main())
    stream.assert_balanced_so_far()
    assert len(stream.dead_letters()) == 14
    assert waiting(stream, stream.raw) == [26]
    assert stream.store.brake.details["topic"] == stream.raw[0].topic


def test_one_organisation_is_not_held_while_others_pass_in_another_process() -> None:
    """The lane asks the store which sites' events have passed."""

    async def main() -> Stream:
        stream = Stream(limits=LIMITS)
        minute = stream.now_ms() // 60_000
        stream.store.windows[WindowKey(minute, 99, stream.raw[0].topic, 0, False)] = [1] + [0] * 6
        for number in range(40):
            stream.produce(event_id=f"s-{number}", event_type="")
        async with stream.running():
            await stream.until(lambda: len(stream.dead_letters()) == 40, "the dead letters")
        return stream

    assert not run_virtually(main()).store.brake.engaged


def test_it_asks_once_and_only_before_it_would_trip() -> None:
    """A few dead letters ask nothing. While an answer takes too long nothing trips, and no batch waits again."""

    async def main() -> tuple[Stream, list[int]]:
        stream, asked = Stream(2, limits=LIMITS, max_records=10), []
        stream.store.answers_in_time = False
        for count in (LIMITS.min_events // 2 - 1, 100):
            for partition in range(2):
                for number in range(count):
                    stream.produce(partition, event_id=f"s-{count}-{partition}-{number}", event_type="")
            async with stream.running():
                await stream.settled()
            asked.append(stream.calls["passing"])
        return stream, asked

    stream, asked = run_virtually(main())
    assert asked == [0, 1]
    assert (len(stream.dead_letters()), stream.store.brake.engaged) == (218, False)


def test_a_process_that_has_written_a_row_asks_nothing_for_visitors() -> None:
    """Their failures don't count then; the question would cost Postgres a query for each of their bursts."""

    async def main() -> Stream:
        stream = Stream(limits=LIMITS)
        stream.produce(event_id="sound")
        async with stream.running():
            await stream.settled()
            junk(stream, LIMITS.min_events * 2)
            await stream.settled()
        return stream

    stream = run_virtually(main())
    assert len(stream.dead_letters()) == LIMITS.min_events * 2
    assert stream.calls["passing"] == 0


def test_good_events_go_on_up_to_the_first_dead_letter() -> None:
    """While open, each partition commits up to its first dead letter, and other partitions continue."""

    async def main() -> Stream:
        stream = Stream(3, limits=LIMITS)
        stream.store.brake = BreakerState(engaged=True, reason="so it is", details={"topic": "other"})
        for number in range(5):
            stream.produce(0, event_id=f"a-{number}")
            stream.produce(1, event_id=f"b-{number}")
        stream.produce(0, value=b"{")
        stream.produce(0, event_id="behind")
        async with stream.running():
            await stream.until(lambda: len(stream.store.events) == 10 and held(stream), "what is good to be settled")
            stream.produce(1, event_id="later")
            await stream.until(lambda: len(stream.store.events) == 11, "another partition's event")
        return stream

    stream = run_virtually(main())
    stream.assert_balanced_so_far()
    assert waiting(stream, stream.raw) == [2, 0, 0]
    assert stream.dead_letters() == []


def test_a_probe_lets_go_once_the_cause_is_gone() -> None:
    """The reset comes within one interval, and no event that passes now is dead-lettered."""

    async def main() -> tuple[Stream, float]:
        stream = Stream(2, limits=LIMITS)
        sound = stream.registry
        moved(stream)
        storm(stream)
        storm(stream, partition=1)
        async with stream.running():
            await braked(stream)
            stream.registry = sound
            began = stream.now_ms()
            await stream.settled()
            assert not stream.store.brake.engaged
            return stream, (stream.now_ms() - began) / 1000

    stream, seconds = run_virtually(main())
    stream.assert_balanced()
    assert (len(stream.store.events), len(stream.dead_letters())) == (80, 0)
    assert seconds < PROBE_SECONDS + 2


def test_a_probe_that_fails_changes_nothing() -> None:
    """Repeated failing probes change nothing, and a lane that holds everything is not stuck."""

    async def main() -> Stream:
        stream = Stream(limits=LIMITS)
        moved(stream)
        storm(stream)
        async with stream.running() as lanes:
            await braked(stream)
            await stream.until(lambda: stream.calls["probed"] == 5, "five probes")
            assert stream.parts.monotonic() - lanes[0].progressed_at < PROBE_SECONDS
        return stream

    stream = run_virtually(main())
    assert stream.store.brake.engaged
    assert (stream.dead_letters(), waiting(stream, stream.raw)) == ([], [40])


def test_let_go_it_begins_anew() -> None:
    """Counts from before the reset do not count afterwards."""

    async def main() -> Stream:
        stream = Stream(max_records=7, limits=LIMITS)
        sound = stream.registry
        stream.produce(event_id="first")
        async with stream.running():
            await stream.settled()
            moved(stream)
            storm(stream, 21)
            await braked(stream)
            stream.registry = sound
            await stream.settled()
            # Fewer than trip the breaker again under the stricter limits.
            for _ in range(4):
                stream.produce(value=b"{")
            await stream.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert (len(stream.dead_letters()), stream.store.brake.engaged, stream.calls["engage"]) == (18, False, 1)


def test_released_by_an_operator() -> None:
    """During the bypass events are dead-lettered within seconds; afterwards they do not count."""

    async def main() -> tuple[Stream, float]:
        stream = Stream(limits=LIMITS)
        moved(stream)
        storm(stream)
        async with stream.running():
            await braked(stream)
            stream.store.brake = BreakerState(released=True)
            began = stream.now_ms()
            await stream.settled()
            seconds = (stream.now_ms() - began) / 1000
            stream.store.brake = BreakerState()
            stream.produce(value=b"{")
            await stream.settled()
            return stream, seconds

    stream, seconds = run_virtually(main())
    stream.assert_balanced()
    assert (len(stream.dead_letters()), stream.store.brake.engaged) == (41, False)
    assert seconds < 3


def test_engaged_by_hand_no_probe_lets_go() -> None:
    """Only an operator resets a manual trip."""

    async def main() -> Stream:
        stream = Stream(limits=LIMITS)
        stream.store.brake = BreakerState(engaged=True, by_hand=True)
        stream.produce(value=b"{")
        for number in range(30):
            stream.produce(event_id=f"e-{number}")
        async with stream.running():
            await stream.until(lambda: stream.calls["probed"] == 3, "three probes")
        return stream

    stream = run_virtually(main())
    assert stream.store.brake.engaged
    assert (stream.dead_letters(), stream.store.events) == ([], [])


def test_a_lane_begins_whatever_is_written_beside_the_brake() -> None:
    """Malformed details, which every worker's account may write, do not stop a lane from starting."""

    async def main() -> Stream:
        stream = Stream(limits=LIMITS)
        stream.store.brake = BreakerState(engaged=True, reason="x", details={"topic": [], "partition": {}, "event": 1})
        stream.produce(event_id="good")
        async with stream.running():
            await stream.until(lambda: len(stream.store.events) == 1, "an event to be settled")
        return stream

    run_virtually(main()).assert_balanced_so_far()


def test_a_lane_that_begins_while_the_brake_is_on_probes_at_once() -> None:
    """A good new deployment resets the breaker, and a bad one does not."""

    async def main(heals: bool) -> Stream:
        stream = Stream(limits=LIMITS)
        sound = stream.registry
        moved(stream)
        storm(stream)
        async with stream.running():
            await braked(stream)
        if heals:
            stream.registry = sound
        began = stream.now_ms()
        async with stream.running():
            await stream.until(lambda: stream.calls["probed"] == 1, "the probe")
            assert stream.now_ms() - began < 1000
            if heals:
                await stream.settled()
        return stream

    healed = run_virtually(main(heals=True))
    healed.assert_balanced()
    assert (len(healed.store.events), healed.store.brake.engaged) == (40, False)
    still = run_virtually(main(heals=False))
    assert (waiting(still, still.raw), still.store.brake.engaged, still.dead_letters()) == ([40], True, [])


def test_rows_that_the_store_refuses_brake_too() -> None:
    """Rows that a constraint refuses are found by bisecting, held, and tried again by the probe."""

    async def main() -> Stream:
        stream = Stream(limits=LIMITS)
        stream.store.refuse = lambda _event: "no row is wanted"
        storm(stream)
        async with stream.running():
            await braked(stream)
            await stream.until(lambda: stream.calls["probed"] == 2, "two probes")
            assert stream.dead_letters() == []
            stream.store.refuse = lambda _event: None
            await stream.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert (len(stream.store.events), stream.store.brake.engaged) == (40, False)


def test_retries_that_are_used_up_are_held_on_their_topic() -> None:
    """With a lost registry the last retry's partition waits and heals with the registry."""

    async def main() -> Stream:
        stream = Stream(limits=LIMITS)
        sound = stream.registry
        stream.registry = {}
        storm(stream)
        async with stream.running():
            await stream.until(lambda: stream.store.brake.engaged, "the brake on")
            stream.registry = sound
            await stream.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert (len(stream.store.events), stream.dead_letters()) == (40, [])


def test_an_outage_while_partitions_are_held() -> None:
    """The lane waits in place, and held partitions stay held."""

    async def main() -> Stream:
        stream = Stream(2, limits=LIMITS)
        moved(stream)
        storm(stream)
        async with stream.running() as lanes:
            await braked(stream)
            settlements = stream.calls["stored"]
            stream.failing["brake"] = 6
            await stream.until(lambda: stream.failing["brake"] == 0, "the outage to be over")
            assert stream.calls["probed"] == 0
            await stream.until(lambda: not lanes[0].waiting and stream.calls["brake"] > 12, "some looks after it")
            # One read of the offsets shows that the lane is idle; a commit of held records would read at each try.
            assert stream.calls["stored"] <= settlements + 1, "nothing held was read"
            assert stream.calls["probed"] == 0
            await stream.until(lambda: stream.calls["probed"] == 1, "a probe")
            stream.store.brake = BreakerState(released=True)
            await stream.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert len(stream.dead_letters()) == 40
