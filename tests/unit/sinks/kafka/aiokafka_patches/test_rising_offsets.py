"""A batch whose records have others' offsets is unreadable, so that the client does not continue behind these."""

import asyncio

import pytest
from support.memory.fetched import Fetched, at_offsets, batch_of

from sinks.kafka.aiokafka_patches.reads import count_anew


@pytest.mark.parametrize("natively", [False, True])
@pytest.mark.parametrize("most", [2, 100])
@pytest.mark.parametrize("deltas", [(0, 1, 9), (0, 3, 2), (0, 1, 1)], ids=["beyond", "falling", "equal"])
def test_a_batch_with_others_offsets_is_unreadable(deltas: tuple[int, ...], most: int, *, natively: bool) -> None:
    """The position never passes the batch, also if a read ends within it; others' records follow it."""

    async def read() -> tuple[int, str]:
        log = Fetched(at_offsets(*deltas), batch_of([(b"k", b"others", [])] * 10), bases=[0, 3])
        try:
            for _ in range(5):
                count_anew(natively=natively)
                log.read(most)
        except ValueError as error:
            return log.position, str(error)
        return log.position, ""

    position, error = asyncio.run(read())
    assert position <= 2
    assert error.startswith("a record has the offset ")
