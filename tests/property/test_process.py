"""The processor gives every record exactly one outcome that can be committed."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from support.events.encoded import event_of
from support.events.making import BRAKE_LIMITS, DLQ, NOW_MS, RAW, RETRY_1, batch, body, context, process
from support.events.native import PATHS, Path
from support.memory.publisher import MemoryPublisher
from support.memory.sink import MemorySink, MemoryStore
from support.memory.source import MemoryRecord
from support.virtual_time import run_virtually

from schemas.kafka import headers as names
from schemas.pipeline.ledger import LedgerState
from schemas.pipeline.outcome import Outcomes
from schemas.pipeline.record import Provenance, TopicPartition
from schemas.pipeline.registry import Script
from sinks.kafka.publisher import copy_headers
from sinks.postgres.ledger import rows as ledger
from streams.rules.breaker import BreakerJudge
from streams.worker.committer import BatchCommitter

WAITING, DEAD = Provenance(RAW, 0, 3), Provenance(RAW, 0, 4)
REPLAY_ID = "6f2d1e34-8a53-4a57-9d0b-0d5a3c0f8f11"
THEN = datetime(2025, 10, 9, tzinfo=UTC)
LEDGER = {
    WAITING: LedgerState(1, False, THEN, THEN, None, None, None, None),
    DEAD: LedgerState(0, True, THEN, THEN, "claimed", REPLAY_ID, None, None),
}

header_names = st.sampled_from(
    [names.PROVENANCE, names.ATTEMPT, names.DUE_AT, names.RECEIVED_AT, names.ERROR_CLASS, names.FIRST_FAILED_AT,
     names.REPLAY_ID, names.REPLAY_OF, names.NULL, names.SITE_ID, names.SCRIPT_ID, names.EVENT_ID, "other", ""]
)  # fmt: skip
header_values = (
    st.none()
    | st.binary(max_size=6)
    | st.sampled_from(
        [
            str(WAITING).encode(),
            str(DEAD).encode(),
            REPLAY_ID.encode(),
            b"1",
            b"2",
            b"shop",
            b"e-1",
            b"a\x00",
            b"9" * 19,
            b"9" * 5000,
            b"a\x00b:0:0",
            f"{RAW}:0:99".encode(),
            str(NOW_MS).encode(),
            b"x" * 200,
        ]
    )
)
bodies = (
    st.none()
    | st.binary(max_size=40)
    | st.sampled_from([
        body(), body(event_id="e-2"), body(script_id="off"), body(script_id="\x00"), body(event_id=..., site_id=...),
        body(script_id=..., event_id=None), body(schema_version=7), body(value="1e9999999"), body(value="0e999999999"), body(url="http://[", currency="eur"),
        body(event_id="\ud800"), body(occurred_at="0001-01-01T00:00:00+14:00"), body(sent_at="9999-12-31T23:59:59-14:00"),
        body(url="https://x.test/?utm_source=%00&utm_term=%ff#", referrer="http://\ue000"), body()[:-1] + b',"value":"\xff"}',
        body(properties={"a": "x" * 5000, "b": 2**80}), body(event_type=" ", value=-0.0), body(site_id=2),
    ])
)  # fmt: skip
records = st.builds(
    lambda value, key, timestamp, kind, pairs: (value, key, timestamp, kind, tuple(pairs)),
    bodies,
    st.none() | st.binary(max_size=4),
    st.integers(-(2**63), 2**63 - 1) | st.just(NOW_MS),
    st.just(0),
    st.lists(st.tuples(header_names, header_values), max_size=5),
) | st.builds(
    lambda value, pairs: (value, b"k", NOW_MS, 1, tuple(pairs)),
    bodies,
    st.lists(st.tuples(header_names, header_values), max_size=5),
)


def assert_writable(outcomes: Outcomes) -> None:
    """Build everything that the sinks and publishers make of an outcome."""
    for candidate in outcomes.candidates:
        for field in msgspec.structs.astuple(event_of(candidate)):
            assert not isinstance(field, str) or ("\x00" not in field and field.encode())
            assert not isinstance(field, int) or -(2**63) <= field < 2**63
            assert not isinstance(field, datetime) or 1969 <= field.astimezone(UTC).year <= 9999
            assert not isinstance(field, Decimal) or -400 < int(field.as_tuple().exponent) < 16
    for failure in outcomes.failures:
        for _, value in copy_headers(failure):
            assert value is None or isinstance(value, bytes)
        if failure.attempt.number == 1:
            for column in ledger.row(failure):
                assert not isinstance(column, str) or ("\x00" not in column and column.encode())


@settings(max_examples=600)
@given(
    path=st.sampled_from(PATHS),
    topic=st.sampled_from([RAW, RETRY_1]),
    contents=st.lists(records, min_size=1, max_size=6),
)
def test_each_record_has_exactly_one_outcome(path: Path, topic: str, contents: list[tuple[object, ...]]) -> None:
    """Records of raw and retry topics become a candidate, a failure or stale, and never raise."""
    source = TopicPartition(topic, 0)
    made = batch(*(MemoryRecord(*source, 10 + at, *content) for at, content in enumerate(contents)))  # type: ignore[arg-type]
    registry = context().registry | {"\x00": Script("\x00", 1, None, enabled=True)}  # type: ignore[operator]
    outcomes = process(made, path(context(ledger=LEDGER, registry=registry)))
    offsets = [one.attempt.record.offset for one in [*outcomes.candidates, *outcomes.failures]]
    assert len(offsets) == len(set(offsets))
    assert len(offsets) + outcomes.stale == len(contents)
    if topic == RAW:
        assert all(one.attempt.provenance[:2] == source for one in outcomes.failures)
    assert_writable(outcomes)
    run_virtually(_settle(outcomes))


async def _settle(outcomes: Outcomes) -> None:
    store = MemoryStore()
    sink = MemorySink(store)
    await sink.claim({outcomes.batch.source: 10})
    first = process(batch(MemoryRecord(RAW, 0, 3, body(script_id="off"), b"k", NOW_MS)), context())
    dead = process(batch(MemoryRecord(RAW, 0, 4, b"{", b"k", NOW_MS)), context())
    for one in (*first.failures, *dead.failures):
        await _seed(store, one.attempt.provenance, one)
    store.ledger[DEAD].disposition, store.ledger[DEAD].replay_id = "claimed", REPLAY_ID
    committed = await BatchCommitter(sink, MemoryPublisher(DLQ), BreakerJudge(BRAKE_LIMITS, lambda: 0.0)).settle(
        [outcomes]
    )
    assert committed.tally.processed + committed.tally.stale == len(outcomes.batch.records)


async def _seed(store: MemoryStore, provenance: Provenance, failure: object) -> None:
    from support.memory.sink import _new_row

    store.ledger[provenance] = _new_row(failure)  # type: ignore[arg-type]
