"""Events under several names of one object."""

import pytest

from bridge.gateway.elements import split
from bridge.http.problems import Problem

A = b'{"event_id":"a"}'
B = b'{"event_id":"b"}'
MOST = 5


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"events":[' + A + b'],"batch":[' + B + b"]}", "batch"),
        (b'{"data":[' + A + b'],"events":[' + B + b"]}", "data"),
        (b'{"records":[' + A + b'],"events":[]}', "records"),
    ],
)
def test_events_under_another_name_beside_events_are_refused(body: bytes, name: str) -> None:
    """They would get a 202 and be nowhere."""
    with pytest.raises(Problem) as caught:
        split(body, lines=False, most=MOST)

    assert f"beside `events`, an object with its events under `{name}`" in caught.value.detail
