"""Values longer than any event: searching one is limited, because other requests wait for it."""

import json
from collections.abc import Callable

import pytest
from support.processes.lone_gateway import lone_gateway

from bridge.gateway.elements import Element, identify
from bridge.http.problems import Code, Problem
from bridge.publish.lines import MAX_LINE_BYTES

ESCAPES = b'{"a":NaN,"b":"%s"}'
QUOTES = b'{"a":NaN%s}'
MOST = 64 * 1024


@pytest.mark.parametrize(("form", "mark"), [(ESCAPES, b"\\u0041x"), (QUOTES, b',"b":1')], ids=["escapes", "strings"])
def test_value_of_more_strings_and_escapes_than_an_event_is_not_looked_through(form: bytes, mark: bytes) -> None:
    """A text no longer than an event is always searched."""
    with pytest.raises(Problem) as caught:
        identify(form % (mark * (MOST + 1)))
    assert (caught.value.code, "too many strings" in caught.value.detail) == (Code.INVALID_PAYLOAD_JSON, True)
    assert identify(form % (mark * (MOST // len(mark)))) == Element(None, missing=True)


@pytest.mark.parametrize(
    "more",
    [lambda size: b'{"event_id":"a"}' * (size // 16 + 1), lambda size: b'{"event_id":"a","x":"' + b"x" * size + b'"}'],
    ids=["several", "one"],
)
def test_value_that_does_not_fit_is_not_looked_at(more: Callable[[int], bytes]) -> None:
    """The refusal is for its length."""
    value = more(MAX_LINE_BYTES)
    assert len(value) > MAX_LINE_BYTES
    assert identify(value) == Element(None, missing=False)


async def test_value_that_does_not_fit_is_refused_alone() -> None:
    """The error names its position in the body."""
    async with lone_gateway() as gateway:
        lines = json.dumps({"event_id": "a"}).encode() + b"\n" + b'{"event_id":"b"}' * 65_000
        answer = await gateway.post(gateway.server() | {"content-type": "application/x-ndjson"}, lines)
    assert answer.status == 202
    assert answer.json()["results"] == [
        {"index": 0, "event_id": "a", "status": "accepted"},
        {"index": 1, "event_id": None, "status": "rejected", "error_code": "event_too_large"},
    ]
