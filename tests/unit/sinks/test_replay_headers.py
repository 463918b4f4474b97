"""The headers of a replay: the raw event's own, then the reference to the replayed event."""

from schemas.pipeline.record import Provenance, RawBody
from sinks.kafka.replay_publisher import Replayed, replay_headers

OF = Provenance("bridge.raw", 3, 17)
OWN = [("a", b"1"), ("bridge-replay-id", b"forged"), ("a", None), ("bridge-site-id", b"2")]
ID = "6f2d1e34-0000-4000-8000-000000000001"
REPLAY = [("bridge-replay-id", ID.encode()), ("bridge-replay-of", b"bridge.raw:3:17")]


def test_the_raw_events_headers_stay_in_order_and_ours_come_last() -> None:
    """A producer may have used our names, and the last one wins."""
    assert replay_headers(Replayed(OF, RawBody(b"k", b"v", OWN)), ID) == [*OWN, *REPLAY]


def test_a_replay_of_a_replay_bears_only_its_own() -> None:
    """The headers do not grow with the replay generation."""
    before = [*OWN, ("bridge-replay-id", b"older"), ("bridge-replay-of", b"bridge.raw:3:1")]
    assert replay_headers(Replayed(OF, RawBody(b"k", b"v", before), is_replay=True), ID) == [*OWN, *REPLAY]


def test_a_record_without_key_and_value_says_so() -> None:
    """Kafka cannot hold such a record unchanged."""
    found = replay_headers(Replayed(OF, RawBody(None, None, ())), ID)
    assert found == [("bridge-null", b"key,value"), *REPLAY]
