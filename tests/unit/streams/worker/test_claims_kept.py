"""A lane whose batch was refused keeps the claims of replays as they are while it reads and settles it again."""

import pytest
from support.events.stream import Stream
from support.virtual_time import run_virtually

CLAIM = (("bridge-replay-id", b"11111111-1111-4111-8111-111111111111"), ("bridge-replay-of", b"bridge.raw:0:0"))


@pytest.mark.parametrize("claims", [False, True], ids=["plain", "claiming"])
def test_claims_are_kept_after_a_refusal_only(claims: bool) -> None:
    """Else whoever may release and claim could have each batch refused; a batch without claims waits for nobody."""

    async def main() -> Stream:
        stream = Stream()
        stream.produce(event_id="e-0")
        async with stream.running():
            await stream.settled()
            stream.produce(event_id="e-1", headers=CLAIM)
            await stream.settled()
            assert stream.calls["keep_claims"] == 0
            began = stream.calls["claim"]
            stream.source.rewind(stream.raw[0], 0)
            await stream.until(lambda: stream.calls["claim"] > began, "the refusal")
            stream.produce(event_id="e-2", headers=CLAIM if claims else ())
            await stream.settled()
            stream.produce(event_id="e-3", headers=CLAIM)
            await stream.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert (stream.calls["keep_claims"], stream.calls["release_claims"]) == (int(claims), int(claims))
    assert len(stream.store.events) == 4
