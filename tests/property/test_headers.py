"""Headers, provenances and keys survive a round trip, and keys distinguish events."""

from hypothesis import given, settings
from hypothesis import strategies as st
from support.events.making import batch, context, process, record
from support.memory.source import MemoryRecord

from schemas.kafka.headers import bounded_text, last, last_int
from schemas.pipeline.record import Provenance
from sinks.kafka.publisher import copy_headers, original_headers
from sinks.postgres.ledger.rows import decode_headers, encode_headers
from streams.pipeline.dedup_key import event_key
from streams.pipeline.processor import retry_token

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["bridge-provenance", "bridge-attempt", "bridge-error", "x-original-topic"]
)
pairs = st.lists(st.tuples(names, st.none() | st.binary(max_size=20)), max_size=6)
topics = st.text("abcXYZ019._-", min_size=1, max_size=20)
identities = st.tuples(
    st.integers(1, 2**63 - 1), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
)
uuids = st.builds(
    lambda time, one, two, three: f"{time[:8]}-{time[8:]}-7{one}-8{two}-{three}",
    *(st.text("0123456789abcdef", min_size=count, max_size=count) for count in (12, 3, 3, 12)),
)


@settings(max_examples=200)
@given(pairs)
def test_stored_headers_are_read_back(headers: list[tuple[str, bytes | None]]) -> None:
    """Order, repeated names, nulls and bytes that are not UTF-8 survive."""
    assert decode_headers(encode_headers(headers)) == headers


@settings(max_examples=200)
@given(topics, st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1))
def test_a_provenance_is_read_back(topic: str, partition: int, offset: int) -> None:
    """Its text identifies the raw event."""
    made = Provenance(topic, partition, offset)
    assert Provenance.parse(str(made)) == made


@settings(max_examples=200)
@given(pairs)
def test_a_retried_record_keeps_its_own_headers(headers: list[tuple[str, bytes | None]]) -> None:
    """The producer's headers, forged ones included, survive any number of retries."""
    policy = context().policy._replace(max_retries=3)
    sent: MemoryRecord = record(7, script_id="nowhere", headers=headers)
    origin = Provenance(sent.topic, sent.partition, sent.offset)
    (failure,) = process(batch(sent), context(policy=policy)).failures
    for attempt in (2, 3):
        assert original_headers(failure) == headers
        copied = copy_headers(failure)
        assert copied[: len(headers)] == headers
        retried = MemoryRecord("t.retry.1s", 0, attempt, sent.value, sent.key, sent.timestamp, 1, tuple(copied))
        assert retry_token(retried) == (origin, attempt)
        failure.attempt.record, failure.attempt.number = retried, attempt


@settings(max_examples=200)
@given(st.text(), st.integers(0, 60))
def test_bounded_text_can_be_stored(text: str, limit: int) -> None:
    """The text has no NUL or lone surrogate and fits the limit; a valid short text is unchanged."""
    bounded = bounded_text(text, limit)
    assert len(bounded.encode()) <= limit
    assert "\x00" not in bounded
    if (
        len(text.encode("utf-8", "replace")) <= limit
        and "\x00" not in text
        and text == text.encode("utf-8", "ignore").decode()
    ):
        assert bounded == text


@settings(max_examples=200)
@given(pairs, st.binary(max_size=25))
def test_headers_that_are_no_text_are_absent(headers: list[tuple[str, bytes | None]], value: bytes) -> None:
    """The last of equal names wins, and no header value raises."""
    headers = [*headers, ("x", b"1"), ("x", value)]
    said, number = last(headers, "x"), last_int(headers, "x")
    assert said is None or said.encode() == value
    assert number is None or 0 <= number < 10**19


@settings(max_examples=300)
@given(identities, identities | uuids.map(lambda text: (1, text)))
def test_keys_tell_events_apart(one: tuple[int, str], other: tuple[int, str]) -> None:
    """Keys have 16 bytes and are equal exactly for the same site and id."""
    assert len(event_key(*one)) == len(event_key(*other)) == 16
    assert (event_key(*one) == event_key(*other)) == (one == other)


@settings(max_examples=200)
@given(uuids, st.text(" 0123456789abcdef-", min_size=36, max_size=36).map(lambda text: text[:14] + "7" + text[15:]))
def test_odd_ids_of_a_uuids_length_have_whole_keys(sound: str, odd: str) -> None:
    """Spaces among the time's digits do not shorten the key."""
    assert len(event_key(1, odd)) == len(event_key(1, sound)) == 16


@settings(max_examples=200)
@given(uuids, uuids, st.integers(1, 100), st.integers(1, 100))
def test_keys_of_uuid7_are_in_the_order_of_time(one: str, other: str, site: int, site_of_other: int) -> None:
    """For every site, new keys go to the right edge of the key table's index."""
    times = [text[:8] + text[9:13] for text in (one, other)]
    keys = [event_key(site, one), event_key(site_of_other, other)]
    assert [key[:6].hex() for key in keys] == times
    if times[0] != times[1]:
        assert (keys[0] < keys[1]) == (times[0] < times[1])
