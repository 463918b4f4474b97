"""Ids under an Idempotency-Key: every process derives the same ids from a request, and other ids from any other."""

import uuid
from typing import NamedTuple

from hypothesis import assume, given
from hypothesis import strategies as st

from bridge.gateway.admission.event_ids import EventIds
from schemas.pipeline.sender import Sender


class Asked(NamedTuple):
    """What ids are derived from."""

    sender: Sender
    script_id: str
    origin: str | None
    key: bytes
    digest: bytes


SECRET = "s" * 32
_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)
_keys = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=3)
requests = st.one_of(
    st.builds(Asked, st.just(sender), _texts, origins, _keys.map(str.encode), st.binary(min_size=32, max_size=32))
    for sender, origins in ((Sender.SERVER, st.none()), (Sender.VISITOR, _texts.filter(bool)))
)


@given(requests, st.integers(0, 40), st.integers(0, 40))
def test_every_process_derives_the_same_ids(asked: Asked, count: int, other: int) -> None:
    """They are distinct UUIDs of version 8. An event's id does not depend on the number of events behind it."""
    ids = EventIds(SECRET).derive(*asked, count)

    assert ids[:other] == EventIds(SECRET).derive(*asked, other)[:count]
    assert len(ids) == len(set(ids)) == count
    for one in map(uuid.UUID, ids):
        assert (one.version, one.variant) == (8, uuid.RFC_4122)
    assert [str(uuid.UUID(one)) for one in ids] == ids


@given(requests, requests, st.integers(1, 10))
def test_another_request_has_other_ids(one: Asked, other: Asked, count: int) -> None:
    """Requests that differ in anything, and equal requests under another secret, have no id in common."""
    ids = EventIds(SECRET).derive(*one, count)
    for field in Asked._fields:
        changed = one._replace(**{field: getattr(other, field)})
        if changed != one:
            assert not set(ids) & set(EventIds(SECRET).derive(*changed, count)), field
    assume(one != other)
    assert not set(ids) & set(EventIds(SECRET).derive(*other, count))
    assert not set(ids) & set(EventIds(SECRET * 2).derive(*one, count))
