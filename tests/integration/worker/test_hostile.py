"""Hostile input through a real worker: each event gets its outcome, blocks no other event, and can be read back."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from schemas.config.settings import Settings
from schemas.kafka.headers import last
from schemas.pipeline.record import Provenance
from sinks.kafka.producer import make_producer
from streams.worker.worker import Worker

EVENT = "event"
INVALID, VIOLATION, EXHAUSTED = "invalid_payload_json", "schema_violation", "retry_exhausted"
DUPLICATE = "duplicate_event_id"
DAY_MS = 24 * 60 * 60 * 1000
BUDGET_SECONDS = 60
NOW_MS = time.time_ns() // 1_000_000

Headers = Sequence[tuple[str, bytes | None]]


class Case(NamedTuple):
    """One raw record and its expected outcome: an event, or a dropped_reason."""

    name: str
    ends_as: str
    value: bytes | None
    key: bytes | None = b"1:x"
    headers: Headers = ()
    timestamp_ms: int | None = None


def doc(name: str, **changed: Any) -> dict[str, Any]:
    return {
        "event_id": name, "site_id": 1, "script_id": "shop", "event_type": "click", "occurred_at": NOW_MS,
    } | changed  # fmt: skip


def sound(name: str, **changed: Any) -> bytes:
    return json.dumps(doc(name, **changed)).encode()


def spliced(name: str, more: bytes) -> bytes:
    """A sound event with a fragment in it that json.dumps would not write."""
    return sound(name)[:-1] + b"," + more + b"}"


def wrong_values() -> list[Case]:
    text = "x" * 30_000
    return [
        Case("null value", INVALID, None),
        Case("null key and value", INVALID, None, key=None, headers=[("x", None)]),
        Case("empty", INVALID, b""),
        Case("blank", INVALID, b"  \n"),
        Case("not JSON", INVALID, b"{bad"),
        Case("an array", INVALID, b"[1]"),
        Case("a string", INVALID, b'"x"'),
        Case("null in JSON", INVALID, b"null"),
        Case("nested 2000 deep", INVALID, b'{"properties":' + b"[" * 2000 + b"]" * 2000 + b"}"),
        Case("nested 2000 deep in value", INVALID, spliced("deep", b'"value":' + b"[" * 2000 + b"]" * 2000)),
        Case("nested 33 deep", INVALID, spliced("d33", b'"properties":' + b'{"a":' * 32 + b"1" + b"}" * 32)),
        Case("1 MB", INVALID, b'{"a":"' + b"x" * 1_000_000 + b'"}'),
        Case("endless string", INVALID, b'{"a":"' + b'\\"' * 30_000 + b"[" * 40),
        Case("NaN", INVALID, spliced("nan", b'"properties":{"a":NaN}')),
        Case("Infinity", INVALID, spliced("inf", b'"value":-Infinity')),
        Case("1e999", INVALID, spliced("1e999", b'"properties":{"a":1e999}')),
        Case("not UTF-8", INVALID, b'{"event_id":"\xff"}'),
        Case("value not UTF-8", INVALID, spliced("utf8", b'"value":"\xff"')),
        Case("control character", INVALID, spliced("ctl", b'"url":"a\x01"')),
        Case("NUL", VIOLATION, sound("nul\x00")),
        Case("NUL in properties", VIOLATION, sound("nulp", properties={"a\x00": 1})),
        Case("lone surrogate", VIOLATION, sound("sur", user_agent="\ud800")),
        Case("lone surrogate in properties", VIOLATION, sound("surp", properties={"a": ["\udfff"]})),
        Case("2**64 as site", VIOLATION, sound("site", site_id=2**64)),
        Case("amount beyond all bounds", VIOLATION, sound("amount", value="1e9999999")),
        Case("amount out of decimal's range", VIOLATION, sound("amount2", value="1e99999999999999999999")),
        Case("year 99999", VIOLATION, sound("y99999", occurred_at="99999-01-01T00:00:00Z")),
        Case("year 99999 in ms", VIOLATION, sound("y99999ms", occurred_at=3_093_527_980_800_000)),
        Case("year 1", VIOLATION, sound("y1", occurred_at="0001-01-01T00:00:00Z")),
        Case("year 1 east of UTC", VIOLATION, sound("y1e", occurred_at="0001-01-01T00:00:00+14:00")),
        Case("sent in year 9999", VIOLATION, sound("s9999", sent_at="9999-12-31T23:59:59-14:00")),
        Case("text as site", VIOLATION, sound("text", site_id="1")),
        Case("float as site", VIOLATION, sound("float", site_id=1.0)),
        Case("true as site", VIOLATION, sound("true", site_id=True)),
        Case("properties a list", VIOLATION, sound("list", properties=[1])),
        Case("long text as id", VIOLATION, sound("i" * 129)),
        Case("no id", VIOLATION, b'{"site_id":1,"script_id":"shop","event_type":"x","occurred_at":1}'),
        Case("unknown version", EXHAUSTED, sound("v9", schema_version=9)),
        Case("unknown script", EXHAUSTED, sound("nowhere", script_id="nowhere")),
        Case("header of the gateway, unproven", EVENT, sound("conflict"), headers=[("bridge-site-id", b"2")]),
        Case("huge unknown field refused", INVALID, sound("huge", unknown=text * 3)),
    ]


def odd_but_sound() -> list[Case]:
    forged = [
        ("bridge-provenance", b"x.raw:0:0"), ("bridge-attempt", b"3"), ("bridge-due-at", b"99999999999999"),
        ("bridge-dropped-reason", b"schema_violation"), ("bridge-error-class", b"x"), ("bridge-null", b"key,value"),
        ("bridge-received-at", b"99999999999999999999"), ("x-original-topic", b"\xff"), ("bridge-error", None),
    ]  # fmt: skip
    return [
        Case("2**64 in properties", EVENT, sound("big", properties={"a": 2**64, "b": [-(2**70)]})),
        Case("repeated keys", EVENT, spliced("first", b'"event_id":"repeated keys"')),
        Case("the same again", DUPLICATE, sound("2**64 again", event_id="repeated keys")),
        Case("a foreign key", EVENT, sound("foreign"), key=b"\xff\x00 nothing of ours"),
        Case("no key", EVENT, sound("no key"), key=None),
        Case("forged headers", EVENT, sound("forged"), headers=forged),
        Case(
            "forged replay", EVENT, sound("replayed"),
            headers=[("bridge-replay-id", b"not a uuid"), ("bridge-replay-of", b"t.raw:0:0")],
        ),
        Case(
            "forged replay of what can't be", EVENT, sound("replayed nul"),
            headers=[("bridge-replay-id", b"a\x00"), ("bridge-replay-of", b"a\x00b:0:0")],
        ),
        Case("headers that are not UTF-8", EVENT, sound("not utf8"), headers=[("bridge-site-id", b"\xff"), ("", b"")]),
        Case("marks of COPY", EVENT, sound('a\tb\nc\\N\\.\r"', user_agent="\\.\n\\N\t", session_id="\\")),
        Case("long texts", EVENT, sound("long", url="https://x.test/?" + "u" * 30_000, user_agent="ü" * 2_000)),
        Case("no properties of PHP", EVENT, sound("php", properties=[])),
        Case("no url", EVENT, sound("no url", url="undefined")),
        Case("tiny numbers", EVENT, spliced("tiny", b'"value":5e-324,"properties":{"a":5e-324,"b":1e-16383}')),
        Case("a leap second", EVENT, sound("leap", sent_at="2016-12-31T23:59:60Z")),
        Case("a sum of floats", EVENT, spliced("float", b'"value":836.9999999999998')),
        Case("odd url", EVENT, sound("url", url="https://x.test/%00?utm_source=%00%ED%A0%80&utm_term=%zz#frag")),
        Case("unknown fields", EVENT, sound("extra", other={"a": 1e300}, properties={"_extra": 1})),
        Case("version 2", EVENT, sound("v2", schema_version=2, amount="12.5", page={"url": "https://x.test/"})),
        Case("nothing, with an exponent", EVENT, spliced("0e500", b'"value":0e500')),
        Case("nothing, as text with an exponent", EVENT, sound("0e9", value="-0e999999999")),
        Case("less than nothing", EVENT, spliced("-0", b'"value":-0.0')),
        Case("the largest amount", EVENT, sound("max", value="-999999999999999.999999")),
        Case("amount with endless zeros", EVENT, spliced("zeros", b'"value":1.' + b"0" * 400)),
    ]  # fmt: skip


class Rig:
    """Topics of its own, a worker on them, and readers of what it wrote."""

    def __init__(self, addresses: StackAddresses, database_url: str, prefix: str, *, native: bool) -> None:
        self.settings = Settings(
            kafka_bootstrap_servers=addresses.kafka,
            database_url=database_url,
            topic_prefix=prefix,
            group=f"{prefix}group",
            retry_delays=("200ms",),
            max_retries=1,
            topic_partitions=2,
            native_reader=native,
        )
        self.topics = self.settings.topics
        self.placed: dict[Provenance, Case] = {}

    async def start(self, raw_config: dict[str, str]) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.brokers)
        await admin.start()
        specs = self.topics.specs(partitions=2, replication=1, min_insync=1)
        await admin.create_topics(
            [
                NewTopic(
                    spec.name,
                    spec.partitions,
                    spec.replication,
                    topic_configs=spec.config | (raw_config if spec.name == self.topics.raw else {}),
                )
                for spec in specs
            ]
        )
        await admin.close()
        self.producer: AIOKafkaProducer = make_producer(self.settings)
        await self.producer.start()
        self.db: asyncpg.Connection = await asyncpg.connect(self.settings.dsn)
        await self.db.execute("INSERT INTO org VALUES (1)")
        await self.db.execute("INSERT INTO site (site_id, org_id) VALUES (1, 1)")
        await self.db.execute("INSERT INTO script (script_id, site_id) VALUES ('shop', 1)")
        self.worker = Worker(self.settings)

    async def stop(self) -> None:
        await self.worker.stop()
        await self.producer.stop()
        await self.db.close()

    async def place(self, cases: Sequence[Case]) -> None:
        """The partition of each record: always 0, so that a record that blocks also blocks those behind it."""
        for case in cases:
            metadata = await self.send(self.topics.raw, case.value, case.key, case.headers, case.timestamp_ms)
            self.placed[Provenance(self.topics.raw, 0, metadata.offset)] = case

    async def send(
        self, topic: str, value: bytes | None, key: bytes | None, headers: Headers, timestamp_ms: int | None = None
    ) -> Any:
        if key is not None or value is not None:
            return await self.producer.send_and_wait(
                topic, value, key, partition=0, headers=list(headers), timestamp_ms=timestamp_ms
            )
        # aiokafka's own check refuses records that other producers can write.
        await self.producer.partitions_for(topic)
        future = await self.producer._message_accumulator.add_message(
            KafkaPartition(topic, 0), None, None, 30, timestamp_ms=timestamp_ms, headers=list(headers)
        )
        return await future

    async def run_to_the_end(self) -> None:
        """Run the worker until every raw and retry record has been read and no event waits."""
        await self.worker.start()
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.brokers)
        await consumer.start()
        partitions = [KafkaPartition(topic, n) for topic in (self.topics.raw, *self.topics.retries) for n in (0, 1)]

        async def done() -> bool:
            if self.worker.failed.done():
                self.worker.failed.result()
            waiting = await self.db.fetchval("SELECT count(*) FROM bridge_event_raw WHERE NOT normalized")
            ends = await consumer.end_offsets(partitions)
            rows = await self.db.fetch("SELECT topic, partition, next_offset FROM stream_offset")
            stored = {KafkaPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
            return waiting == 0 and stored == ends

        try:
            await wait_until(done, budget_seconds=BUDGET_SECONDS, describe="every offset to reach the end")
        finally:
            await consumer.stop()

    async def ended_as(self) -> dict[Provenance, str]:
        """The outcome of each raw event, from rows that asyncpg can read whole."""
        events = await self.db.fetch("SELECT * FROM bridge_event")
        ledger = await self.db.fetch("SELECT * FROM bridge_event_raw")
        found = [(provenance(row), EVENT) for row in events]
        found += [(provenance(row), row["dropped_reason"]) for row in ledger]
        assert len(found) == len(dict(found)), "each raw event has one end"
        return dict(found)

    async def dead_letters(self) -> dict[Provenance, Any]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.brokers, auto_offset_reset="earliest", max_partition_fetch_bytes=4_000_000
        )
        await consumer.start()
        partitions = [KafkaPartition(self.topics.dlq, n) for n in (0, 1)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        letters = {}
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            record = await asyncio.wait_for(consumer.getone(), 20)
            letters[Provenance.parse(last(record.headers, "bridge-provenance") or "")] = record
        await consumer.stop()
        return letters


def provenance(row: asyncpg.Record) -> Provenance:
    return Provenance(row["raw_topic"], row["raw_partition"], row["raw_offset"])


@pytest.fixture(params=[True, False], ids=["native", "python"])
def native(request: pytest.FixtureRequest) -> bool:
    """Whether the native module reads ordinary events."""
    return bool(request.param)


@pytest.fixture
async def rig(
    stack: StackAddresses, database_url: str, topic_prefix: str, request: pytest.FixtureRequest, *, native: bool
) -> AsyncIterator[Rig]:
    made = Rig(stack, database_url, topic_prefix, native=native)
    await made.start(getattr(request, "param", {}))
    yield made
    await made.stop()


def assert_ends(rig: Rig, found: dict[Provenance, str]) -> None:
    expected = {case.name: case.ends_as for case in rig.placed.values()}
    assert {rig.placed[one].name: end for one, end in found.items()} == expected


async def test_each_hostile_record_has_its_outcome(rig: Rig) -> None:
    """Each record ends as the error table defines; offsets reach the end.

    All rows can be read back, and the dead letters are whole.
    """
    await rig.place([*wrong_values(), *odd_but_sound()])
    await rig.run_to_the_end()
    assert_ends(rig, await rig.ended_as())
    letters = await rig.dead_letters()
    expected = {one for one, case in rig.placed.items() if case.ends_as not in (EVENT, DUPLICATE)}
    assert set(letters) == expected
    for one, letter in letters.items():
        case = rig.placed[one]
        nothing = case.key is None and case.value is None
        assert letter.key == case.key, case.name
        assert letter.value == (b"" if nothing else case.value), case.name
        assert list(letter.headers[: len(case.headers)]) == list(case.headers), case.name
        assert last(letter.headers, "bridge-dropped-reason") == case.ends_as, case.name
        row = await rig.db.fetchrow(
            "SELECT * FROM bridge_event_raw WHERE raw_topic = $1 AND raw_partition = $2 AND raw_offset = $3", *one
        )
        assert (row["record_key"], row["payload"], row["disposition"]) == (case.key, case.value, "open"), case.name


async def test_garbage_on_a_retry_topic_is_stale_and_blocks_nothing(rig: Rig) -> None:
    """Forged tokens, tokens of events that never failed, and garbage are stale and don't block a real retry."""
    await rig.place([Case("sound", EVENT, sound("sound")), Case("late", EXHAUSTED, sound("late", script_id="nowhere"))])
    raw = rig.topics.raw
    tokens: list[Headers] = [
        [],
        [("bridge-provenance", b"rubbish"), ("bridge-attempt", b"2")],
        [("bridge-provenance", None), ("bridge-attempt", None)],
        [("bridge-provenance", b"\xff:0:0"), ("bridge-attempt", b"2")],
        [("bridge-provenance", f"{raw}\x00:0:0".encode()), ("bridge-attempt", b"2")],
        [("bridge-provenance", f"{raw}:999:0".encode()), ("bridge-attempt", b"2")],
        [("bridge-provenance", f"{raw}:0:{2**63 - 1}".encode()), ("bridge-attempt", b"2")],
        [("bridge-provenance", f"{raw}:{2**40}:{2**70}".encode()), ("bridge-attempt", b"2")],
        [("bridge-provenance", f"{raw}:0:{'9' * 5000}".encode()), ("bridge-attempt", b"2")],
        [("bridge-provenance", f"{raw}:0:100000".encode()), ("bridge-attempt", b"2")],
        [("bridge-provenance", b"other.raw:0:0"), ("bridge-attempt", b"2")],
        [("bridge-provenance", f"{raw}:0:0".encode()), ("bridge-attempt", b"2")],
        [("bridge-provenance", f"{raw}:0:0".encode()), ("bridge-attempt", b"2"), ("bridge-due-at", b"9" * 18)],
        [("bridge-provenance", f"{raw}:0:1".encode()), ("bridge-attempt", b"1")],
        [("bridge-provenance", f"{raw}:0:1".encode()), ("bridge-attempt", b"9" * 19)],
        [("bridge-provenance", f"{raw}:0:1".encode()), ("bridge-attempt", b"-2"), ("bridge-due-at", b"soon")],
    ]
    for headers in tokens:
        for value in (None, b"", sound("forged")):
            await rig.send(rig.topics.retries[0], value, b"k", headers)
    await rig.send(rig.topics.retries[0], None, None, [])
    await rig.run_to_the_end()
    assert_ends(rig, await rig.ended_as())
    counted = await rig.db.fetchrow(
        "SELECT sum(stale) AS stale, sum(live) AS live FROM stream_offset WHERE topic = $1", rig.topics.retries[0]
    )
    assert (counted["stale"], counted["live"]) == (len(tokens) * 3 + 1, 1)


@pytest.mark.parametrize(
    "rig",
    [{"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": str(2**63 - 1), "retention.ms": "-1"}],
    indirect=True,
)
async def test_producers_own_times_are_held_near_now(rig: Rig) -> None:
    """With CreateTime, timestamps of 1970, 2099 and the end of time are clamped to existing months and windows."""
    then, soon, ever = 0, 4_086_000_000_000, 2**62
    week_ago = NOW_MS - 7 * DAY_MS - 60_000
    await rig.place(
        [
            Case("1970", EVENT, sound("1970", occurred_at=week_ago), timestamp_ms=then),
            Case("1970 and now", VIOLATION, sound("1970 and now"), timestamp_ms=then),
            Case("2099", EVENT, sound("2099"), timestamp_ms=soon),
            Case("the end of time", EVENT, sound("ever"), timestamp_ms=ever),
            Case("bad at the end of time", INVALID, b"{", timestamp_ms=ever),
            Case("retried at the end of time", EXHAUSTED, sound("retried", script_id="nowhere"), timestamp_ms=ever),
            Case("the same at the end of time", DUPLICATE, sound("2099"), timestamp_ms=ever),
            Case("now", EVENT, sound("now"), timestamp_ms=NOW_MS),
        ]
    )
    await rig.run_to_the_end()
    assert_ends(rig, await rig.ended_as())
    held = await rig.db.fetchrow("SELECT min(window_start) AS first, max(window_start) AS last FROM gate_window")
    assert held["first"].timestamp() * 1000 >= NOW_MS - 7 * DAY_MS - 60_000
    assert held["last"].timestamp() * 1000 <= time.time_ns() / 1e6 + 5 * 60_000


async def test_producers_own_times_do_not_count_where_the_broker_stamps(rig: Rig) -> None:
    """With LogAppendTime the record's time is the broker's, regardless of the producer's."""
    await rig.place(
        [
            Case("1970", EVENT, sound("1970"), timestamp_ms=0),
            Case("2099", EVENT, sound("2099"), timestamp_ms=4_086_000_000_000),
        ]
    )
    await rig.run_to_the_end()
    assert_ends(rig, await rig.ended_as())
    times = await rig.db.fetch("SELECT received_at FROM bridge_event")
    assert all(abs(row["received_at"].timestamp() * 1000 - NOW_MS) < DAY_MS for row in times)
