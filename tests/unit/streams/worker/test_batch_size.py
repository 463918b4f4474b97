"""The size of a lane's batches after commits that timed out."""

from support.events.stream import Stream
from support.memory.sink import MemorySink
from support.virtual_time import run_virtually

from schemas.errors import SinkUnavailable
from streams.worker.batch_size import COMMITS_TO_GROW, BatchSize


async def settled_by(make: type[MemorySink]) -> Stream:
    """A stream of eight events that a lane with such a sink has settled, in batches of at most eight."""
    stream = Stream(max_records=8)
    for number in range(8):
        stream.produce(event_id=f"e-{number}")
    object.__setattr__(stream.parts, "make_sink", lambda: make(stream.store))
    async with stream.running():
        await stream.settled()
    return stream


def test_it_is_halved_by_time_outs_and_grows_again_by_commits() -> None:
    """It never exceeds the setting, and a time-out begins the count of commits anew."""
    size = BatchSize(5)
    assert (size.halve(), size.records) == (True, 2)
    assert (size.halve(), size.records) == (True, 1)
    assert (size.halve(), size.records) == (False, 1)
    seen = set()
    for _ in range(COMMITS_TO_GROW - 1):
        size.committed()
        seen.add(size.records)
    assert seen == {1}
    assert not size.halve()
    for expected in (2, 4, 5, 5):
        for _ in range(COMMITS_TO_GROW):
            size.committed()
        assert size.records == expected


def test_a_statement_that_timed_out_is_tried_with_half_the_records() -> None:
    """SQLSTATE 57014 splits the batch in halves, down to one record."""
    sizes: list[int] = []

    class Slow(MemorySink):
        async def commit(self, outcomes):  # type: ignore[no-untyped-def]
            size = sum(len(one.batch.records) for one in outcomes)
            sizes.append(size)
            if size > 2:
                raise SinkUnavailable("too slow", sqlstate="57014")
            return await super().commit(outcomes)

    run_virtually(settled_by(Slow)).assert_balanced()
    assert sizes == [8, 4, 2, 2, 2, 2]


def test_only_a_commit_that_timed_out_makes_batches_smaller() -> None:
    """Another query that Postgres cut short is asked again, with the same records."""
    sizes: list[int] = []

    class Slow(MemorySink):
        async def stored(self, sources):  # type: ignore[no-untyped-def]
            if not sizes:
                sizes.append(0)
                raise SinkUnavailable("too slow", sqlstate="57014")
            return await super().stored(sources)

        async def commit(self, outcomes):  # type: ignore[no-untyped-def]
            sizes.append(sum(len(one.batch.records) for one in outcomes))
            return await super().commit(outcomes)

    run_virtually(settled_by(Slow)).assert_balanced()
    assert sizes == [0, 8]
