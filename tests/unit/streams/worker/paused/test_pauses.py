"""The owner of paused partitions: reasons add up, end one by one, and are counted over the lanes of a worker."""

import pytest
from support.events.stream import Stream
from support.memory.source import MemorySource
from support.virtual_time import run_virtually

from schemas.pipeline.pause import PauseReason
from schemas.pipeline.record import TopicPartition
from streams.worker.lanes import Lanes
from streams.worker.paused.pauses import NOT_POLLED, Pauses
from telemetry import metrics

ONE, TWO = TopicPartition("owned", 0), TopicPartition("owned", 1)
BOTH = {ONE, TWO}


@pytest.fixture
def source() -> MemorySource:
    return MemorySource([ONE, TWO])


@pytest.fixture
def pauses(source: MemorySource) -> Pauses:
    return Pauses("owner", source)


def shown(name: str, **labels: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(name, labels)


def by_reason() -> dict[str, float | None]:
    found = {reason.value: shown("bridge_paused_partitions", reason=reason.value) for reason in PauseReason}
    return {reason: count for reason, count in found.items() if count != 0}


def test_a_partition_is_read_again_when_its_last_reason_has_ended(source: MemorySource, pauses: Pauses) -> None:
    """Reasons end in any order, and one that is repeated ends once."""
    pauses.replace(PauseReason.OUTAGE, BOTH)
    pauses.replace(PauseReason.BREAKER, [ONE])
    pauses.replace(PauseReason.OUTAGE, BOTH)
    assert source.paused == BOTH

    pauses.replace(PauseReason.OUTAGE, ())
    assert source.paused == {ONE}
    pauses.replace(PauseReason.OUTAGE, [ONE])
    pauses.replace(PauseReason.BREAKER, ())
    assert source.paused == {ONE}
    pauses.replace(PauseReason.OUTAGE, ())
    assert source.paused == set()


def test_a_pause_until_a_time_ends_then(source: MemorySource, pauses: Pauses) -> None:
    """A second pause of the same partition replaces the time."""
    pauses.pause(PauseReason.RETRY_DUE, ONE, 10.0)
    pauses.pause(PauseReason.RETRY_DUE, TWO, 20.0)
    pauses.pause(PauseReason.RETRY_DUE, ONE, 15.0)
    pauses.replace(PauseReason.OUTAGE, [TWO])
    for now, paused in ((14.9, BOTH), (15.0, {TWO}), (20.0, {TWO})):
        pauses.wake(now)
        assert source.paused == paused, now
    assert not pauses[PauseReason.RETRY_DUE]
    pauses.replace(PauseReason.OUTAGE, ())
    assert source.paused == set()


def test_a_pause_outlives_a_new_name_of_the_log(source: MemorySource, pauses: Pauses) -> None:
    """An adopted log is the same partition in Kafka."""
    renamed = TopicPartition("owned#2", 0)
    assert pauses.by_operator([ONE, TWO], {ONE: "ticket 12"}) == {ONE}
    assert pauses.by_operator([renamed, TWO], {ONE: "ticket 12"}) == set()
    assert pauses.unpaused([renamed, TWO]) == [TWO]
    assert source.paused == {ONE}


def test_only_two_reasons_leave_a_partition_out_of_a_poll(pauses: Pauses) -> None:
    """A consumer that polls no partition for a day leaves its group."""
    for reason in PauseReason:
        pauses.replace(reason, [ONE])
        assert pauses.unpaused([ONE, TWO]) == [TWO]
        assert (pauses.unpaused([ONE], NOT_POLLED) == []) == (reason in NOT_POLLED)
        pauses.replace(reason, ())


def test_the_source_retries_an_unreadable_record_by_itself(source: MemorySource, pauses: Pauses) -> None:
    """A partition that is paused in the consumer would never be tried again."""
    assert pauses.replace(PauseReason.UNREADABLE, [ONE]) == {ONE}
    assert pauses.replace(PauseReason.UNREADABLE, [ONE]) == set()
    assert (pauses.unpaused([ONE]), source.paused) == ([], set())


def test_the_gauges_of_the_release_before_are_exported(pauses: Pauses) -> None:
    """One for a partition, or the count of the lane."""
    gauges = {
        PauseReason.OPERATOR: "bridge_partitions_paused_by_hand",
        PauseReason.REPLACED_LOG: "bridge_foreign_partitions",
        PauseReason.UNREADABLE: "bridge_unreadable_partitions",
    }
    for reason, name in gauges.items():
        pauses.replace(reason, [TopicPartition("owned#2", 1)])
        assert shown(name, topic="owned", partition="1") == 1
        pauses.replace(reason, ())
        assert shown(name, topic="owned", partition="1") == 0
    pauses.replace(PauseReason.BREAKER, BOTH)
    assert shown("bridge_braked_partitions", lane="owner") == 2
    metrics.forget_lane("owner", BOTH)
    assert shown("bridge_braked_partitions", lane="owner") is None


def test_the_gauge_counts_the_partitions_of_running_lanes() -> None:
    """Every reason begins at 0, and is 0 again as soon as the assignment has ended."""

    async def main() -> None:
        stream = Stream(3)
        lanes = Lanes(stream.parts, count=2, on_end=lambda task: None)
        assert by_reason() == {}
        stream.failing["claim"] = 1_000_000
        stream.paused = {stream.raw[0]: "paused by somebody: ticket 12"}
        lanes.begin(stream.raw)
        stream.tasks = list(lanes._running.values())
        await stream.until(lambda: by_reason() == {"claim": 3, "outage": 3}, "an outage at the start")
        stream.failing["claim"] = 0
        await stream.until(lambda: by_reason() == {"operator": 1}, "an operator's pause")
        await lanes.end(60)
        assert by_reason() == {}

    run_virtually(main())
