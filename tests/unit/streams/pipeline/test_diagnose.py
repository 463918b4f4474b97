"""The slow, exact reading: limits of size and depth, and the readable parts of a broken document."""

import pytest
from support.events.making import body, document

from schemas.events.raw_event import MAX_DEPTH
from schemas.kafka.vouched import Vouched
from schemas.pipeline.sender import Sender
from streams.pipeline.diagnose import identity, judge, readable_text
from streams.pipeline.rejection import Rejection, violated
from streams.pipeline.violations import quoted


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_the_bound_of_depth(depth: int, opening: bytes) -> None:
    """32 levels are read and one more is refused."""
    closing = b"]" if opening == b"[" else b"}"
    value = opening * depth + b"1" + closing * depth
    if depth <= MAX_DEPTH:
        assert readable_text(value) == value.decode()
    else:
        with pytest.raises(Rejection, match=f"nested deeper than {MAX_DEPTH}"):
            readable_text(value)


def test_brackets_in_texts_are_no_depth() -> None:
    """Brackets after an escaped quote and sibling pairs add no depth either."""
    value = b'{"a":"' + b"[" * 40 + b'\\"' + b"{" * 40 + b'","b":[' + b"[]," * 40 + b"[]]}"
    assert readable_text(value) == value.decode()


@pytest.mark.parametrize("name", ["event_id", "site_id", "script_id"])
@pytest.mark.parametrize("value", [None, 1.5, True, "", "x" * 129, [1], 0, -1, 2**63])
def test_identity_takes_only_what_fits(name: str, value: object) -> None:
    """The ledger shows a valid identity or none, never a guess."""
    told = identity(document(**{name: value}))
    assert getattr(told, name) is None


def test_the_contract_is_asked_with_what_is_vouched_for() -> None:
    """The contract sees the gateway's values, so a rejection names the real error."""
    text = body(site_id=..., event_id=...).decode()

    fields = judge(text, Vouched(7, "shop", Sender.SERVER, "given"))

    assert (fields.site_id, fields.event_id) == (7, "given")
    with pytest.raises(Rejection, match="event_id: is required"):
        judge(text, Vouched(7, "shop", Sender.SERVER))


@pytest.mark.parametrize("mark", ["'", '"'])
def test_a_violation_that_is_cut_leaves_no_quote_open(mark: str) -> None:
    """An open quote would put the following quoted texts outside their quotes."""
    message = violated([f"properties.{mark}{'x' * 300}{mark}: bad", "value: 'secret' is not a number"], None).message
    first, second = message.split("; ")
    assert first.endswith(f"x…{mark}")
    assert second == "value: 'secret' is not a number"


def test_a_quoted_text_stands_on_one_line() -> None:
    """Readers cut a message at the line that begins with DETAIL, which Postgres adds."""
    assert quoted("MINE\nDETAIL: x") == "'MINE DETAIL: x'"
