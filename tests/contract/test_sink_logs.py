"""What every sink stores about the logs it has read: the same suite on memory and Postgres."""

from support.events.making import RAW, SOURCE, batch

from schemas.pipeline.log_identity import KnownLog, mark_of
from schemas.pipeline.record import Provenance, TopicPartition

from .conftest import OTHER, Bench


async def test_a_log_is_known_by_its_cluster_and_the_last_settled_record(bench: Bench) -> None:
    """Batches that end in holes or hold only holes keep the last record, and a known cluster stays."""
    nothing = await bench.sink.logs([SOURCE, TopicPartition(RAW, 9)])
    assert nothing == {SOURCE: KnownLog(SOURCE, 0, None, None)}

    last = bench.record(2)
    await bench.commit(bench.record(0), last, following=5)
    await bench.sink.commit(await bench.judge(batch(bench.record(5), prev=5, following=8)._replace(records=())))
    await bench.sink.claim({SOURCE: 0, OTHER: 0}, "here")
    await bench.sink.claim({SOURCE: 0}, "there")

    assert await bench.sink.logs([SOURCE, OTHER]) == {
        SOURCE: KnownLog(SOURCE, 8, mark_of(last), "here"),
        OTHER: KnownLog(OTHER, 0, None, "here"),
    }


async def test_the_present_log_is_the_one_that_was_adopted_last(bench: Bench) -> None:
    """Logs are ordered by number, not alphabetically, and earlier logs keep their offsets."""
    await bench.commit(bench.record(0))
    for incarnation in (2, 10, 9):
        await bench.sink.claim({TopicPartition(f"{RAW}#{incarnation}", 0): 3})
    assert {known.log for known in (await bench.sink.logs([SOURCE])).values()} == {TopicPartition(f"{RAW}#10", 0)}
    assert await bench.sink.stored([SOURCE]) == {SOURCE: 1}


async def test_the_same_offset_of_two_logs_is_two_raw_events(bench: Bench) -> None:
    """Each has its own ledger row although Kafka's coordinates are equal."""
    adopted = TopicPartition(f"{RAW}#2", 0)
    await bench.sink.claim({adopted: 0})
    await bench.commit(bench.record(0, script_id="nowhere"))
    of_the_new = batch(bench.record(0, value=b"{"))._replace(source=adopted)
    await bench.settle(of_the_new)

    ledger = await bench.world.ledger()
    assert {provenance: row.dropped_reason for provenance, row in ledger.items()} == {
        Provenance(RAW, 0, 0): None,
        Provenance(f"{RAW}#2", 0, 0): "invalid_payload_json",
    }
    assert {key.topic for key in await bench.world.windows()} == {RAW}
    assert bench.publisher.published[0].headers[-1] == ("bridge-dropped-reason", b"invalid_payload_json")
    assert dict(bench.publisher.published[0].headers)["x-original-topic"] == RAW.encode()


async def test_a_retry_of_an_adopted_log_finds_its_row(bench: Bench) -> None:
    """The retry's token names the log."""
    adopted = TopicPartition(f"{RAW}#2", 0)
    await bench.sink.claim({adopted: 0})
    await bench.settle(batch(bench.record(0, script_id="nowhere"))._replace(source=adopted))
    origin = Provenance(f"{RAW}#2", 0, 0)
    states = await bench.sink.ledger([origin])
    assert states[origin].awaits(2)
    assert await bench.sink.ledger([Provenance(RAW, 0, 0)]) == {}
