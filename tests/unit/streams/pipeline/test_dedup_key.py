"""Deduplication keys and their bounded cache."""

from streams.pipeline.dedup_key import DedupHints, event_key

UUID7 = "0199c7f2-6a01-7abc-8def-0123456789ab"


def test_a_key_is_of_site_and_id() -> None:
    """The same id of two sites gives two keys, and so do site 1 with id 2:3 and site 1:2 with id 3."""
    assert event_key(1, "a") == event_key(1, "a")
    assert event_key(1, "a") != event_key(2, "a")
    assert event_key(1, "2:3") != event_key(12, "3")


def test_the_time_of_a_uuid7_comes_first() -> None:
    """The key begins with 48 bits of the time, then the digest; other versions' ids have no time."""
    assert event_key(1, UUID7)[:6].hex() == "0199c7f26a01"
    assert event_key(1, UUID7)[6:] != event_key(2, UUID7)[6:]
    assert event_key(1, UUID7.replace("-7", "-4"))[:6].hex() != "0199c7f26a01"


def test_what_only_looks_like_a_uuid7_has_a_whole_key() -> None:
    """Spaces, letters outside hex and digits of other scripts are no UUIDv7."""
    for odd in ("0199 7f2-6a01", "  99c7f2-6a01", "zzzzzzzz-6a01", "٠199c7f2-6a01"):
        assert len(event_key(1, odd + UUID7[13:])) == 16


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    """The cache never exceeds its limit and always keeps the newest half."""
    hints = DedupHints(100)
    keys = [bytes([number // 256, number % 256]) for number in range(1000)]
    for number, key in enumerate(keys):
        hints.add([key])
        assert len(hints) <= 100
        assert all(recent in hints for recent in keys[max(0, number - 49) : number + 1])
    assert keys[0] not in hints


def test_no_memory_at_all_can_be_asked_for() -> None:
    """A cache with limit 0 remembers nothing."""
    hints = DedupHints(0)
    hints.add([b"a"])
    assert b"a" not in hints


def test_clear_forgets_both_generations() -> None:
    """After a refused commit no remembered key is valid."""
    hints = DedupHints(4)
    hints.add([b"a", b"b"])
    hints.add([b"c"])
    hints.clear()
    assert len(hints) == 0
    assert not any(key in hints for key in (b"a", b"b", b"c"))
