"""The note in Postgres of the reason a lane waits."""

from support.events.stream import Stream
from support.virtual_time import run_virtually


def test_what_a_lane_waits_for_is_noted_until_it_goes_on() -> None:
    """The first tries write no note, because most errors do not outlast them."""

    async def main() -> Stream:
        stream = Stream()
        stream.produce(value=b"{")
        stream.failing["publisher"] = 10**6
        offsets = stream.store.offsets
        async with stream.running():
            await stream.until(lambda: stream.calls["publisher"] == 3, "some tries")
            assert offsets[stream.raw[0]].held is None
            await stream.until(lambda: offsets[stream.raw[0]].held, "the note")
            assert offsets[stream.raw[0]].held == "its lane waits: publisher is away"
            stream.failing.clear()
            await stream.settled()
        assert offsets[stream.raw[0]].held is None
        return stream

    run_virtually(main()).assert_balanced()
