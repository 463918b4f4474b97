"""Idempotency-Key: answers are cached for a time, in bounded memory, with a share for each sender."""

import pytest

from bridge.gateway.admission.idempotency import Idempotency, idempotency_key
from bridge.http.answer import Answer
from bridge.http.ids import request_ids
from bridge.http.problems import Code, Problem


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_keys_are_remembered_for_a_while() -> None:
    """Body and answer are cached within a byte limit."""
    clock = Clock()
    known = Idempotency(10, clock, most_bytes=5000)
    first = known.find("s", b"k", b"body")
    known.keep("s", first, Answer(202, b"x" * 100))

    assert known.find("s", b"k", b"body") is first
    assert known.find("other", b"k", b"body").answer is None
    with pytest.raises(Problem) as caught:
        known.find("s", b"k", b"another body")
    assert caught.value.code is Code.IDEMPOTENCY_KEY_REUSED
    for number in range(100):
        known.keep("s", known.find("s", b"%d" % number, b""), Answer(202, b"y" * 500))
        assert known._bytes <= 5000
    assert first.forgotten
    clock.now += 11
    known.find("s", b"later", b"")
    assert [len(share.keys) for share in known._shares.values()] == [1]
    assert known._bytes == sum(share.size for share in known._shares.values())


def test_a_key_in_flight_is_a_conflict_that_passes() -> None:
    """The code is not `overloaded`: the same request, sent again, gets the first one's answer."""
    known = Idempotency(10, Clock(), most_bytes=5000)
    first = known.find("s", b"k", b"body")
    first.in_hand = True
    with pytest.raises(Problem) as caught:
        known.find("s", b"k", b"body")
    answered = caught.value.answer(request_ids({}))
    assert (caught.value.code, answered.status) == (Code.IDEMPOTENCY_KEY_IN_FLIGHT, 409)
    assert (b"retry-after", b"1") in answered.headers
    first.in_hand = False
    assert known.find("s", b"k", b"body") is first


def test_a_flood_of_keys_puts_out_the_senders_own() -> None:
    """Finding 15: visitors' keys evicted a server's, so its batch was published twice."""
    known = Idempotency(600, Clock(), most_bytes=50_000)
    for number in range(10):
        known.keep("server", known.find("server", b"%d" % number, b""), Answer(202, b"y" * 500))
    for number in range(1000):
        sender = "one visitor" if number % 3 else "another"
        known.keep(sender, known.find(sender, b"%d" % number, b""), Answer(202, b"y" * 900))
        assert known._bytes <= 50_000
    for number in range(10):
        found = known.find("server", b"%d" % number, b"")
        assert found.answer is not None
        assert not found.forgotten
    # A sender alone has all of the memory.
    assert known._bytes > 45_000
    for number in range(1000):
        known.keep("greedy", known.find("greedy", b"%d" % number, b""), Answer(202, b"y" * 60_000))
    assert known._bytes <= 50_000


@pytest.mark.parametrize("key", [b"", b"a b", b"\xff", b"x" * 256, b"a\x00"])
def test_a_malformed_idempotency_key_is_refused(key: bytes) -> None:
    """The gateway would store it."""
    with pytest.raises(Problem) as caught:
        idempotency_key({b"idempotency-key": key})
    assert caught.value.code is Code.INVALID_HEADER
