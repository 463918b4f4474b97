"""Committing offsets to Kafka beside the lane's work, in virtual time."""

import asyncio
from collections.abc import Mapping

import pytest
from support.events.stream import Stream
from support.virtual_time import run_virtually

from schemas.pipeline.record import TopicPartition


def test_work_does_not_wait_for_kafka_to_take_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the coordinator's return an idle lane commits the last offsets."""
    away, taken = True, []

    async def main() -> Stream:
        stream = Stream()
        take = stream.source.commit

        async def commit(offsets: Mapping[TopicPartition, int]) -> bool:
            if away:
                await asyncio.sleep(5)
                return False
            taken.append(dict(offsets))
            return await take(offsets)

        monkeypatch.setattr(stream.source, "commit", commit)
        began = asyncio.get_running_loop().time()
        async with stream.running():
            for number in range(5):
                stream.produce(event_id=f"e-{number}")
                await stream.until(lambda count=number: len(stream.store.events) > count, "the event settled")
            assert asyncio.get_running_loop().time() < began + 4
            # Long enough for the newest offsets to be refused too.
            await asyncio.sleep(20)
            nonlocal away
            away = False
            await asyncio.sleep(20)
            assert stream.source.committed[stream.raw[0]] == 5
            stream.produce(event_id="e-5")
            await stream.settled()
        return stream

    stream = run_virtually(main())
    stream.assert_balanced()
    assert stream.source.committed[stream.raw[0]] == 6
    moments = [one[stream.raw[0]] for one in taken if stream.raw[0] in one]
    assert moments == sorted(moments)


def test_a_defect_of_the_commit_to_kafka_ends_the_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect is no outage and is not lost with the task beside the lane."""

    async def main() -> None:
        stream = Stream()

        async def commit(_: Mapping[TopicPartition, int]) -> bool:
            raise ZeroDivisionError

        monkeypatch.setattr(stream.source, "commit", commit)
        async with stream.running():
            for number in range(2):
                stream.produce(event_id=f"e-{number}")
                await stream.until(lambda count=number: len(stream.store.events) > count, "the event settled")
            await asyncio.sleep(60)
            await stream.until(lambda: False, "the lane's end")

    with pytest.raises(ZeroDivisionError):
        run_virtually(main())
