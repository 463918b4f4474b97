"""A lane whose batch was refused locks the claims of its replays while it reads and commits the batch again."""

import pytest
from support.events.stream import Stream
from support.virtual_time import run_virtually

CLAIM = (("bridge-replay-id", b"11111111-1111-4111-8111-111111111111"), ("bridge-replay-of", b"bridge.raw:0:0"))


@pytest.mark.parametrize("claims", [False, True], ids=["plain", "claiming"])
def test_claims_are_kept_after_a_refusal_only(claims: bool) -> None:
    """An operator cannot refuse every batch by releasing and claiming; batches without claims wait for no lock."""

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
