"""The circuit breaker where retries alone have opened it: what it holds, and what closes it."""

from support.events.braked import LIMITS, braked, waiting
from support.events.making import body
from support.events.sealed import gateway_headers
from support.events.stream import Stream
from support.virtual_time import run_virtually

from schemas.pipeline.breaker import BreakerState
from schemas.pipeline.sender import Sender

OF_RETRIES = BreakerState(engaged=True, reason="retries", details={"topic": "t.retry.60s", "of_retries": True})


def test_retries_that_open_the_breaker_hold_no_first_attempts() -> None:
    """A few dead letters of raw partitions go on; the events behind them are not late."""

    async def main() -> Stream:
        stream = Stream(limits=LIMITS)
        stream.store.brake = OF_RETRIES
        for number in range(LIMITS.min_events * 2):
            stream.produce(event_id=f"sound-{number}")
            if number % 20 == 0:
                stream.produce(value=b"{")
        async with stream.running():
            await stream.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert (len(stream.store.events), len(stream.dead_letters())) == (40, 2)
    assert stream.store.brake.engaged


def test_first_attempts_that_fail_are_held_behind_retries_that_do() -> None:
    """As many dead letters as would open the breaker hold the partition of first attempts too."""

    async def main() -> Stream:
        stream = Stream(limits=LIMITS, max_records=5)
        stream.store.brake = OF_RETRIES
        for _ in range(LIMITS.min_events * 3):
            stream.produce(value=b"{")
        async with stream.running():
            await braked(stream)
        return stream

    stream = run_virtually(main())
    stream.assert_balanced_so_far()
    assert len(stream.dead_letters()) <= LIMITS.min_events
    assert waiting(stream, stream.raw) != [0]


def test_an_event_that_passes_closes_what_visitors_retries_have_opened() -> None:
    """The records behind a held retry are not due, so the lane asks what passes elsewhere."""

    async def main() -> Stream:
        stream = Stream(limits=LIMITS)
        stream.store.brake = OF_RETRIES._replace(
            details={**OF_RETRIES.details, "failures_total": 3, "failures_of_visitors": 3}
        )
        value = body(event_id="of a visitor", schema_version=99)
        stream.produce(value=value, headers=gateway_headers(value, sender=Sender.VISITOR))
        async with stream.running():
            await stream.until(lambda: set(stream.source.paused) & set(stream.retries), "the last retry to be held")
            stream.produce(event_id="sound")
            await stream.until(lambda: not stream.store.brake.engaged, "the breaker to close")
            await stream.until(lambda: len(stream.dead_letters()) == 1, "the dead letter")
        return stream

    run_virtually(main()).assert_balanced()
