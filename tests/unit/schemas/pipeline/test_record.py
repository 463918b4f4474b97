"""Provenances, holes and times as the broker keeps them."""

from datetime import UTC, datetime

import pytest
from support.events.making import batch, record

from schemas.instants import instant, to_epoch_ms
from schemas.pipeline.record import Provenance, TopicPartition, incarnation_of, log_name, topic_of


@pytest.mark.parametrize(
    "text",
    ["", ":", "a:0", "a:0:", ":0:0", "a:-1:0", "a:0:-1", "a:x:0", "a\x00b:0:0", "a b:0:0", "a:b:0:0", "a:٠:0", "a:0:0\n",
     "a:2147483648:0", "a:0:9223372036854775808", "a:0:" + "9" * 5000, "é:0:0",
     "a#:0:0", "a#1:0:0", "a#02:0:0", "#2:0:0", "a#2#3:0:0"],
)  # fmt: skip
def test_what_is_no_provenance_is_refused(text: str) -> None:
    """A header's text goes to Postgres, so it must be a possible Kafka position."""
    with pytest.raises(ValueError):
        Provenance.parse(text)


def test_a_provenance_reads_its_own_text() -> None:
    """The largest partition and offset are included."""
    made = Provenance("bridge.raw-1_A", 2**31 - 1, 2**63 - 1)
    assert Provenance.parse(str(made)) == made


def test_an_incarnation_is_part_of_a_provenance() -> None:
    """The first log has the plain topic name, so older provenances stay readable."""
    made = Provenance(log_name("bridge.raw", 12), 3, 4)
    assert str(made) == "bridge.raw#12:3:4"
    assert Provenance.parse(str(made)) == made
    assert (topic_of(made.topic), incarnation_of(made.topic)) == ("bridge.raw", 12)
    assert (log_name("bridge.raw", 1), incarnation_of("bridge.raw")) == ("bridge.raw", 1)
    assert TopicPartition(made.topic, 3).in_kafka == ("bridge.raw", 3)


def test_offsets_without_a_record_are_skipped() -> None:
    """The number is next - prev - records, wherever the holes are."""
    assert batch(record(3), record(5)).skipped == 1
    assert batch(record(3), record(5), prev=1, following=9).skipped == 6


@pytest.mark.parametrize("epoch_ms", [0, 1, 1_760_000_000_123, 4_102_444_800_999])
def test_instants_keep_their_milliseconds(epoch_ms: int) -> None:
    """The round trip through a datetime is exact."""
    assert to_epoch_ms(instant(epoch_ms)) == epoch_ms
    assert instant(epoch_ms).microsecond == epoch_ms % 1000 * 1000


@pytest.mark.parametrize(("epoch_ms", "held"), [(-1, 1970), (-(2**63), 1970), (2**63 - 1, 9999), (2**50, 9999)])
def test_a_producers_wild_timestamp_is_held(epoch_ms: int, held: int) -> None:
    """A record's time is clamped to the range of datetime and the ledger."""
    assert instant(epoch_ms).year == held
    assert instant(epoch_ms).tzinfo is UTC
    assert instant(2**63 - 1) < datetime.max.replace(tzinfo=UTC)
