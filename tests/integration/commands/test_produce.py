"""`bridge produce`: lines to records, byte for byte, and its errors."""

import gzip
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from support.processes.command import bridge, start
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from bridge.publish.lines import MAX_LINE_BYTES, LineSplitter
from bridge.publish.session import key_of
from schemas.config.settings import Settings, load_settings
from sinks.kafka.topics import apply_topics

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def given(stack: StackAddresses, topic_prefix: str) -> dict[str, str]:
    """The environment of the command."""
    return {
        "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": stack.kafka,
        "BRIDGE_TOPIC_PREFIX": topic_prefix,
        "BRIDGE_TOPIC_PARTITIONS": "3",
    }


@pytest.fixture
async def settings(given: dict[str, str]) -> Settings:
    """The same settings in this process, with the topics created."""
    made = load_settings(
        kafka_bootstrap_servers=given["BRIDGE_KAFKA_BOOTSTRAP_SERVERS"],
        topic_prefix=given["BRIDGE_TOPIC_PREFIX"],
        topic_partitions=3,
    )
    await apply_topics(made)
    return made


async def read_raw(settings: Settings, count: int) -> list[ConsumerRecord]:
    """The first records of the raw topic."""
    consumer = AIOKafkaConsumer(
        settings.topics.raw, bootstrap_servers=settings.brokers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    records: list[ConsumerRecord] = []

    async def more() -> bool:
        for batch in (await consumer.getmany(timeout_ms=100)).values():
            records.extend(batch)
        return len(records) >= count

    try:
        await wait_until(more, budget_seconds=60, describe=lambda: f"{count} records, have {len(records)}")
    finally:
        await consumer.stop()
    return records


async def test_lines_arrive_byte_for_byte_with_their_key(settings: Settings, given: dict[str, str]) -> None:
    """Each line is one record with its bytes; the key is site and id if the line has both."""
    lines = [
        b'{"site_id": 7, "event_id":"caf\xc3\xa9",  "x":1}',
        b'{"event_id":"a","site_id":7}\r',
        b'{"event_id":"a"}',
        b"[1,2]",
        b"\xff not json",
    ]
    done = bridge("produce", "-", settings=given, stdin=b"\n".join(lines[:3]) + b"\n\n   \r\n" + b"\n".join(lines[3:]))
    assert (done.returncode, done.stdout) == (0, b"read 5, acknowledged 5, failed 0, blank 2\n")
    records = await read_raw(settings, 5)
    assert sorted((record.value, record.key) for record in records) == sorted(
        zip(lines, ["7:café".encode(), b"7:a", None, None, None], strict=True)
    )


async def test_no_key_leaves_every_record_without_one(settings: Settings, given: dict[str, str]) -> None:
    """--no-key publishes no keys at all."""
    done = bridge("produce", "-", "--no-key", settings=given, stdin=b'{"event_id":"a","site_id":7}\n')
    assert done.returncode == 0
    assert [record.key for record in await read_raw(settings, 1)] == [None]


async def test_a_large_file_is_published_whole_and_summed_up(
    settings: Settings, given: dict[str, str], tmp_path: Path
) -> None:
    """Every line of a file of many batches is acknowledged and in the topic once, as the summary shows."""
    count = 30_000
    file, summary = tmp_path / "events.ndjson", tmp_path / "summary.json"
    file.write_text("".join(f'{{"event_id":"e{number}","site_id":1,"pad":"{"x" * 200}"}}\n' for number in range(count)))
    done = bridge("produce", str(file), "--json-output", str(summary), settings=given)
    found = json.loads(summary.read_text())
    assert done.returncode == 0
    assert (found["script"], found["processed_total"], found["succeeded_total"]) == ("produce", count, count)
    assert found["failed_total"] == 0
    assert found["events_per_second"] > 0
    keys = [record.key for record in await read_raw(settings, count)]
    assert len(keys) == len(set(keys)) == count


async def test_a_line_over_the_limit_fails_alone(settings: Settings, given: dict[str, str]) -> None:
    """A line that Kafka would refuse is reported by its number; the largest allowed line is published."""
    stdin = b"\n".join([b'{"a":1}', b"y" * (MAX_LINE_BYTES + 1), b"x" * MAX_LINE_BYTES, b'{"a":2}'])
    done = bridge("produce", "-", "--json-output", "-", settings=given, stdin=stdin)
    found = json.loads(done.stdout)
    assert done.returncode == 2
    assert [error["target"] for error in found["errors"]] == ["line 2"]
    assert (found["succeeded_total"], found["failed_total"]) == (3, 1)
    assert {len(record.value or b"") for record in await read_raw(settings, 3)} == {7, MAX_LINE_BYTES}


async def test_nothing_acknowledged_is_fatal(settings: Settings, given: dict[str, str]) -> None:
    """If no line could be published, the exit code is 1."""
    assert bridge("produce", "-", settings=given, stdin=b"y" * (MAX_LINE_BYTES + 1)).returncode == 1


@pytest.mark.parametrize(
    ("changed", "source", "says"),
    [
        ({}, "missing.ndjson", "cannot read missing.ndjson"),
        ({}, ".", "it is a directory"),
        ({"BRIDGE_KAFKA_BOOTSTRAP_SERVERS": NOWHERE}, "-", NOWHERE),
        ({"BRIDGE_TOPIC_PREFIX": "nobody.made."}, "-", "bridge topics apply"),
    ],
)
def test_bad_input_and_a_missing_service_are_one_line(
    given: dict[str, str], changed: dict[str, str], source: str, says: str
) -> None:
    """A missing file, a directory, Kafka away and a missing topic exit with 3 and one line, within 20 seconds."""
    started = time.monotonic()
    done = bridge("produce", source, settings=given | changed, stdin=b'{"a":1}\n')
    (line,) = done.stderr.decode().splitlines()
    assert done.returncode == 3
    assert line.startswith("error: ")
    assert says in line
    assert time.monotonic() - started < 20


ONE = b'{"event_id":"a","site_id":7}'
PRETTY = json.dumps({"event_id": "a", "site_id": 7}, indent=2).encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (ONE.decode().encode("utf-16"), "is UTF-16, and not one event a line in UTF-8; nothing was published: iconv -f UTF-16 -t UTF-8"),
        (b"\n" + ONE.decode().encode("utf-16-le"), "is UTF-16LE"),
        (gzip.compress(ONE), "is gzip, and not one event a line in UTF-8; nothing was published: gunzip -c"),
        (b"[" + ONE + b"]\n", "is a JSON array, and not one event a line in UTF-8; nothing was published: jq -c '.[]'"),
        (b"\n[\n" + ONE + b",\n" + ONE + b"\n]\n", "is a JSON array"),
        (PRETTY + b"\n" + PRETTY, "has JSON over several lines, and not one event a line in UTF-8; nothing was published: jq -c ."),
        (b'{"event_id":"a",\n"site_id":7}\n' + ONE, "has JSON over several lines"),
        (b'{"events":[' + ONE + b"]}\n", "line 1 is an object with its events under `events`"),
        (ONE + ONE, "line 1 is several JSON texts in a row"),
        (b"event_id;site_id\na;7\n", "line 1: it begins with 'e'"),
    ],
    ids=["utf-16", "utf-16-le", "gzip", "array", "array-lines", "pretty", "two-lines", "named", "row", "table"],
)  # fmt: skip
async def test_a_file_that_is_no_lines_of_events_is_refused(
    settings: Settings, given: dict[str, str], tmp_path: Path, content: bytes, says: str
) -> None:
    """Nothing is published, the exit code is 3, and the error has the command that converts the file."""
    source = tmp_path / "my events"
    source.write_bytes(content)
    done = bridge("produce", str(source), settings=given)
    (line,) = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (3, b"")
    assert says in line
    if "nothing was published" in says:
        assert line.endswith(f" '{source}' | bridge produce -")
    piped = bridge("produce", "-", settings=given, stdin=content)
    assert piped.returncode == 3
    if "nothing was published" in says:
        assert b"pipe it through" in piped.stderr
    assert bridge("produce", "-", settings=given, stdin=ONE).returncode == 0
    assert [record.value for record in await read_raw(settings, 1)] == [ONE]


async def test_lines_that_hold_several_events_fail_alone(settings: Settings, given: dict[str, str]) -> None:
    """Such a line could not be replayed as a dead letter; an invalid event and a byte order mark are published."""
    lines = [b"\xef\xbb\xbf" + ONE, ONE + ONE, b"[" + ONE + b"]", b"{bad", b"\xef\xbb\xbf" + ONE, b"{", b"},{", b"{}"]
    done = bridge("produce", "-", "--no-key", "--json-output", "-", settings=given, stdin=b"\n".join(lines))
    found = json.loads(done.stdout)
    assert done.returncode == 2
    assert [error["target"] for error in found["errors"]] == ["line 2", "line 3", "line 6", "line 7"]
    assert sorted(record.value or b"" for record in await read_raw(settings, 4)) == sorted([ONE, b"{bad", ONE, b"{}"])


async def test_ctrl_c_says_what_was_acknowledged(settings: Settings, given: dict[str, str]) -> None:
    """An interrupted command reports how many lines were acknowledged, and a slow writer's line is published."""
    with start("produce", "-", settings=given, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b'{"event_id":"a","site_id":7}\n')
        process.stdin.flush()
        assert len(await read_raw(settings, 1)) == 1
        process.send_signal(signal.SIGINT)
        # Not communicate(): it would close the input, which ends the command as well.
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert b"1 of 1 lines read were acknowledged" in process.stderr.read()


def test_lines_are_the_same_however_the_chunks_fall() -> None:
    """The splitter's lines don't depend on the chunks, also around a line that is too long."""
    text = b"one\n\n" + b"x" * 12 + b"\ntwo\r\n" + b"y" * 11
    whole = LineSplitter(limit=10)
    expected = [*whole.feed(text), *whole.end()]
    assert [line.value for line in expected] == [b"one", b"", None, b"two\r", None]
    for size in range(1, len(text)):
        splitter = LineSplitter(limit=10)
        found = [line for at in range(0, len(text), size) for line in splitter.feed(text[at : at + size])]
        assert [*found, *splitter.end()] == expected


@pytest.mark.parametrize(
    "line",
    [b"", b"null", b'{"event_id":1,"site_id":2}', b'{"event_id":"a","site_id":true}', b'{"event_id":"\\ud800","site_id":1}',
     b"[" * 5000, b'{"event_id":"a","site_id":1'],
)  # fmt: skip
def test_a_line_without_an_identity_has_no_key(line: bytes) -> None:
    """`key_of` returns None for every such line and raises no error."""
    assert key_of(line) is None


async def test_a_broken_line_is_keyed_by_what_stands_in_its_text(settings: Settings, given: dict[str, str]) -> None:
    """The key gives the dead letter its site; valid JSON without an event id stays without a key."""
    keyed = {
        b'{"event_id": "a", "site_id": 21 "script_id": "x"}': b"21:a",
        b'{"site_id": 21': b"21:",
        b'{"site_id": 21, "x": 1}': None,
        b'{"site_id": 21} "site_id": 11': None,
        b'{"x": ': None,
    }
    sound = b'{"event_id":"b","site_id":7}'
    done = bridge("produce", "-", settings=given, stdin=b"\n".join([sound, *keyed]))
    assert done.stdout == b"read 6, acknowledged 6, failed 0, blank 0\n", done.stderr.decode()
    found = {record.value: record.key for record in await read_raw(settings, 6)}
    assert found == keyed | {sound: b"7:b"}
