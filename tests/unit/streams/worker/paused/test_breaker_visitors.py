"""The circuit breaker on a lane and visitors' junk, in virtual time."""

import asyncio

from support.events.braked import LIMITS, braked, held, junk, waiting
from support.events.stream import Stream
from support.virtual_time import run_virtually

from schemas.pipeline.breaker import BreakerState


def test_visitors_junk_at_every_head_does_not_keep_the_brake_on() -> None:
    """The probe finds passing events far behind the heads within seconds."""

    async def main() -> tuple[Stream, float]:
        stream = Stream(3, limits=LIMITS)
        for partition in range(3):
            junk(stream, 1200, partition)
            stream.produce(partition, event_id=f"good-{partition}")
        async with stream.running():
            await braked(stream)
            began = stream.now_ms()
            await stream.settled()
            return stream, (stream.now_ms() - began) / 1000

    stream, seconds = run_virtually(main())
    stream.assert_balanced()
    assert (len(stream.store.events), len(stream.dead_letters())) == (3, 3600)
    assert seconds < 10
    assert stream.calls["engage"] == 1, "it does not go on again for the same"


def test_visitors_junk_does_not_trip_it_while_another_process_passes_events() -> None:
    """A visitor chooses the partition, and so the process. What other processes commit counts there."""

    async def main() -> tuple[Stream, bool]:
        stream = Stream(limits=LIMITS)
        stream.store.persisted_at = asyncio.get_running_loop().time()
        junk(stream, 1200)
        async with stream.running():
            await stream.settled()
            engaged = stream.store.brake.engaged
            await asyncio.sleep(LIMITS.window_seconds / 2)
            junk(stream, 1200)
            await braked(stream)
        return stream, engaged

    stream, engaged = run_virtually(main())
    assert not engaged
    assert len(stream.dead_letters()) >= 1200


def test_a_duplicate_that_only_the_store_knows_shows_nothing() -> None:
    """Only rows show that events can pass."""

    async def main() -> Stream:
        stream = Stream(limits=LIMITS)
        stream.produce(event_id="old")
        async with stream.running():
            await stream.settled()
        await asyncio.sleep(LIMITS.window_seconds / 2)
        stream.produce(event_id="old")
        async with stream.running():
            await stream.settled()
            junk(stream, 1200)
            await braked(stream)
        return stream

    assert len(run_virtually(main()).store.events) == 1


def test_a_probe_looks_behind_the_heads_of_what_is_held() -> None:
    """The probe covers all partitions at its interval, also if other senders' failures tripped."""

    async def main(good: int, bad: int) -> Stream:
        stream = Stream(2, limits=LIMITS)
        stream.store.brake = BreakerState(engaged=True, details={"topic": "other"})
        for partition in range(2):
            junk(stream, 700, partition)
            for number in range(good):
                stream.produce(partition, event_id=f"good-{partition}-{number}")
                if number < bad:
                    stream.produce(partition, event_id=f"bad-{partition}-{number}", event_type="")
        async with stream.running():
            await stream.until(lambda: len(held(stream)) == 2, "both held")
            if good > bad:
                await stream.settled()
            else:
                await stream.until(lambda: stream.calls["probed"] == 3, "three probes")
        return stream

    passing = run_virtually(main(10, 8))
    passing.assert_balanced()
    assert (len(passing.store.events), passing.store.brake.engaged) == (20, False)
    failing = run_virtually(main(10, 10))
    assert (failing.store.events, failing.dead_letters(), waiting(failing, failing.raw)) == ([], [], [720, 720])
    assert failing.store.brake.engaged


def test_rows_that_the_store_refuses_are_no_proof_for_a_probe() -> None:
    """Events behind the heads are tried on the store too, and none is written."""

    async def main() -> Stream:
        stream = Stream(limits=LIMITS)
        stream.store.refuse = lambda _event: "no row is wanted"
        junk(stream, 700)
        for number in range(30):
            stream.produce(event_id=f"e-{number}")
        async with stream.running():
            await braked(stream)
            await stream.until(lambda: stream.calls["probed"] >= 3, "probes")
            assert (stream.store.brake.engaged, waiting(stream, stream.raw)) == (True, [730])
            stream.store.refuse = lambda _event: None
            await stream.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert (len(stream.store.events), len(stream.dead_letters())) == (30, 700)


def test_an_outage_while_a_probe_looks_behind() -> None:
    """The lane waits for its end, and the held partition continues at its offset."""

    async def main() -> Stream:
        stream = Stream(limits=LIMITS)
        junk(stream, 700)
        async with stream.running():
            await braked(stream)
            stream.failing.update(source=3, rejected=3, brake=2, probed=2)
            stream.produce(event_id="good")
            await stream.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert (len(stream.store.events), len(stream.dead_letters())) == (1, 700)
