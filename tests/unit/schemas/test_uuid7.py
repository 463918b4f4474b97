"""UUIDv7: version and variant are right, the time comes first, and no two are equal."""

import uuid
from random import Random

import pytest

from schemas.uuid7 import uuid7, uuid7s


@pytest.mark.parametrize("epoch_ms", [0, 1, 1_760_000_000_123, 2**48 - 1])
def test_the_time_comes_first(epoch_ms: int) -> None:
    """The id has the standard form, version 7 and RFC 9562's variant."""
    for text in [uuid7(epoch_ms), *uuid7s(1000, epoch_ms)]:
        one = uuid.UUID(text)
        assert (str(one), one.version, one.variant) == (text, 7, uuid.RFC_4122)
        assert one.int >> 80 == epoch_ms


def test_no_two_are_equal() -> None:
    """Single and bulk ids are unique, and every free bit is random."""
    found = {uuid7(5) for _ in range(1000)} | set(uuid7s(1000, 5))

    assert len(found) == 2000
    everywhere = 0
    for text in found:
        everywhere |= uuid.UUID(text).int ^ uuid.UUID(uuid7(5)).int
    assert everywhere.bit_count() == 74


def test_a_seed_makes_the_same_again() -> None:
    """The caller may give the source of random bytes."""
    assert uuid7(7, Random(3).randbytes) == uuid7(7, Random(3).randbytes) != uuid7(7, Random(4).randbytes)
