"""What a settlement writes into the log: one line at DEBUG, whatever is in the batch, and nothing louder of its records."""

import io
import json
from collections.abc import Iterator

import pytest
from support.events.stream import Stream
from support.logs import logs_written
from support.virtual_time import run_virtually


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What the product's own set-up of logs writes; the set-up is taken back."""
    with logs_written("DEBUG", "bridge-worker") as written:
        yield written


def lines_of(stream: io.StringIO, count: int) -> list[dict[str, object]]:
    """The lines of so many sound events, duplicates, broken ones and such as wait for their script, in one batch each."""
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
    """With its counts; three hundred records take no more lines than five, and none of them is named."""
    few, many = lines_of(stream, 1), lines_of(stream, 60)

    settled = [line for line in many if line["event"] == "batch_committed"]
    assert len(settled) == 3
    assert settled[0] | {"level": "debug", "service": "bridge-worker", "processed": 300, "normalized": 60} == settled[0]
    assert sum(int(str(line["processed"])) for line in settled) == 300 + 2 * 60
    assert [(one["level"], one["event"]) for one in many] == [(one["level"], one["event"]) for one in few]
    assert [one for one in many if one["level"] == "info" and "processed" in one] == []
    assert not any("e-1" in json.dumps(line) or "nobody" in json.dumps(line) for line in many)
