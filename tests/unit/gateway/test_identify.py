"""The id of an event in the gateway's answer: the one that the stream will read, or one that the gateway assigns."""

import pytest

from bridge.gateway.elements import Element, identify


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'{"event_id":"a"}', Element("a", missing=False)),
        (b'{"event_id":"caf\\u00e9"}', Element("caf\u00e9", missing=False)),
        (b'{"event_type":"x"}', Element(None, missing=True)),
        (b'{"event_id":null}', Element(None, missing=True)),
        (b'{"properties":{"event_id":"a"}}', Element(None, missing=True)),
        (b"[1]", Element(None, missing=True)),
        (b"nonsense", Element(None, missing=True)),
        (b'{"event_id":""}', Element(None, missing=False)),
        (b'{"event_id":5}', Element(None, missing=False)),
        (b'{"event_id":"' + b"x" * 129 + b'"}', Element(None, missing=False)),
        (b'{"event_id":"\\ud800"}', Element(None, missing=False)),
        (b'{"event_id":"a"', Element(None, missing=False)),
        # The stream reads the last value of a name, however the name is written.
        (b'{"event_id":0,"event_id":"a"}', Element("a", missing=False)),
        (b'{"event_id":0,"event_id":""}', Element(None, missing=False)),
        (b'{"event_id":0,"event_id":null}', Element(None, missing=True)),
        (b'{"event_id":"a","event_id":0}', Element(None, missing=False)),
        (b'{"event\\u005fid":0}', Element(None, missing=False)),
        (b'{"event_id":"a","properties":' + b"[" * 2000 + b"]" * 2000 + b"}", Element(None, missing=False)),
    ],
)  # fmt: skip
def test_an_event_without_an_id_gets_one(value: bytes, expected: Element) -> None:
    """An event with an unusable id does not get another, which would hide the mistake."""
    assert identify(value) == expected
