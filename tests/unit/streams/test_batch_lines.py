"""The log lines of a commit: one at DEBUG for any batch, and nothing above DEBUG about single records."""

import io
import json
from collections.abc import Iterator

import pytest
from support.events.stream import Stream
from support.logs import logs_written
from support.virtual_time import run_virtually


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """The output of the product's log setup, which is undone afterwards."""
    with logs_written("DEBUG", "bridge-worker") as written:
        yield written


def lines_of(stream: io.StringIO, count: int) -> list[dict[str, object]]:
    """The log lines for `count` valid, duplicate, broken and waiting events each."""
    stream.seek(0)
    stream.truncate()

    async def story() -> None:
        made = Stream(max_records=10_000)
        for number in range(count):
            made.produce(event_id=f"e-{number}")
            made.produce(event_id=f"e-{number}")
            made.produce(event_id=f"b-{number}", event_type="")
            made.produce(event_id=f"w-{number}", script_id="nobody")
            made.produce(value=b"{")
        async with made.running():
            await made.settled()

    run_virtually(story())
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_batch_is_one_line_at_debug(stream: io.StringIO) -> None:
    """The line has counts and no record's name, for five records as for three hundred."""
    few, many = lines_of(stream, 1), lines_of(stream, 60)

    settled = [line for line in many if line["event"] == "batch_committed"]
    assert len(settled) == 3
    assert settled[0] | {"level": "debug", "service": "bridge-worker", "processed": 300, "normalized": 60} == settled[0]
    assert sum(int(str(line["processed"])) for line in settled) == 300 + 2 * 60
    assert [(one["level"], one["event"]) for one in many] == [(one["level"], one["event"]) for one in few]
    assert [one for one in many if one["level"] == "info" and "processed" in one] == []
    assert not any("e-1" in json.dumps(line) or "nobody" in json.dumps(line) for line in many)
