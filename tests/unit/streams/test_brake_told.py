"""The circuit breaker's holds in the stored offsets, on a lane in virtual time."""

from support.events.making import BRAKE_LIMITS, REGISTRY
from support.events.stream import Stream
from support.virtual_time import run_virtually

from schemas.pipeline.registry import Script

LIMITS = BRAKE_LIMITS._replace(min_events=20, run_length=20)


def test_the_stored_offsets_say_what_the_brake_holds() -> None:
    """Only held partitions are marked, also after a probe that commits up to the next dead letter."""

    async def main() -> Stream:
        stream = Stream(2, limits=LIMITS)
        stream.registry = {"shop": Script("shop", 7, 10, enabled=True)}
        for number in range(40):
            stream.produce(0, event_id=f"s-{number}")
        async with stream.running():
            await stream.until(lambda: stream.store.brake.engaged, "the brake on")
            why = f"the circuit breaker is open: {stream.store.brake.reason}; see `bridge breaker status`"
            of = stream.store.offsets
            await stream.until(lambda: of[stream.raw[0]].held == why, "the held partition to say so")
            assert of[stream.raw[1]].held is None
            stream.registry = REGISTRY
            await stream.settled()
            assert of[stream.raw[0]].held is None
        return stream

    run_virtually(main())
