"""The memory sink and publisher beyond the contract: injected faults and the published records."""

import pytest
from support.events.making import DLQ, RETRY_1, SOURCE, batch, context, judged, process, record
from support.memory.publisher import MemoryPublisher, Published
from support.memory.sink import MemorySink, MemoryStore

from schemas.errors import SinkUnavailable
from schemas.pipeline.outcome import Failure
from sinks.kafka.publisher import copy_headers


@pytest.mark.parametrize("method", ["claim", "lose", "stored", "ledger", "commit", "rejected"])
async def test_trouble_can_be_had_in_each_method_and_writes_nothing(method: str) -> None:
    """Each method's fault is injected by name and comes before any effect."""

    def fail(called: str) -> None:
        if called == method:
            raise SinkUnavailable("away")

    store = MemoryStore()
    sink = MemorySink(store, fail=fail)
    given = {
        "claim": [{SOURCE: 0}],
        "lose": [SOURCE, 1],
        "commit": [[judged(record(0))]],
        "rejected": [[judged(record(0))]],
    }
    with pytest.raises(SinkUnavailable):
        await getattr(sink, method)(*given.get(method, [[]]))
    assert store == MemoryStore(refuse=store.refuse)


async def test_copies_go_to_their_topic_with_the_streams_headers() -> None:
    """Retries go to their tier once, dead letters to the DLQ once, duplicates nowhere."""
    (candidate,) = judged(record(0)).candidates
    outcomes = process(
        batch(record(1), record(2, value=b"{"), record(3, script_id="off")), context(known={candidate.key})
    )
    delivered: list[Published] = []
    publisher = MemoryPublisher(DLQ, deliver=delivered.append)
    await publisher.publish(outcomes.failures)
    await publisher.publish(outcomes.failures)
    assert [(one.topic, one.partition, one.key) for one in publisher.published] == [(DLQ, 0, b"k"), (RETRY_1, 0, b"k")]
    assert delivered == publisher.published
    assert publisher.published[0].headers == tuple(copy_headers(outcomes.failures[1]))
    assert publisher.published[0].value == b"{"


async def test_what_was_acknowledged_before_a_failure_stays_published() -> None:
    """The next try publishes only the rest."""
    outcomes = judged(record(0, value=b"{"), record(1, value=b"{"))
    troubles = [outcomes.failures[1]]

    def fail(failure: Failure) -> None:
        if failure in troubles:
            troubles.remove(failure)
            raise SinkUnavailable("away")

    publisher = MemoryPublisher(DLQ, fail=fail)
    with pytest.raises(SinkUnavailable):
        await publisher.publish(outcomes.failures)
    assert [failure.published for failure in outcomes.failures] == [True, False]
    await publisher.publish(outcomes.failures)
    assert len(publisher.published) == 2
