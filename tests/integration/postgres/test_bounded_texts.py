"""Bounds on texts that services' accounts write, and a form for names of logs; older rows break no command."""

import asyncio

import asyncpg
import pytest
from pydantic import SecretStr
from support.events.dead_letters import add_dropped, dropped
from support.events.settled import prepare, settings_for
from support.infrastructure.accounts import account, execute, value_of
from support.infrastructure.databases import as_admin
from support.processes.command import bridge

from bridge.dev.stack import StackAddresses
from schemas.config.service import Service
from schemas.config.settings import Settings
from schemas.kafka.headers import MOST_HEADERS
from schemas.pipeline.audit_snapshot import LogBounds
from schemas.pipeline.record import Provenance, RawBody, TopicPartition
from sinks.postgres.audit.snapshot import read_snapshot
from sinks.postgres.ledger.rows import encode_headers
from sinks.postgres.offsets.admin import stored_offsets
from sinks.postgres.registry.cache import RegistryCache
from sinks.postgres.sink import PostgresSink
from streams.rules.audit import judge

OFFSET = (
    "INSERT INTO stream_offset (group_id, topic, partition, base_offset, next_offset)"
    " VALUES ('ghostlink-bridge', '{}', 0, 0, {})"
)
ODD_LOGS = (
    "bridge.raw#x",
    "bridge.raw#",
    "bridge.raw#1",
    "bridge.raw#02",
    "bridge.raw#1234567890",
    "a b",
    "a:b",
    "",
    "#2",
    "a#2#3",
)
UNBOUNDED = "ALTER TABLE stream_offset DROP CONSTRAINT stream_offset_logs"
NAMES = {
    "bridge_event_raw": "discarded_by, former_replayed_as, replay_of, replayed_as, sender",
    "stream_offset": "cluster_id, group_id, worker",
}
SENTENCES = {"bridge_event_raw": "event_id, last_error", "stream_offset": "held"}


@pytest.fixture
def database_url(stack: StackAddresses, database_url: str) -> str:
    """The superuser's URL, which creates the accounts."""
    return as_admin(stack, database_url)


async def refused(url: str, statement: str) -> None:
    """Check that a constraint refuses the row for every account."""
    with pytest.raises(asyncpg.CheckViolationError):
        await execute(url, statement)


async def test_texts_of_the_ledger_and_of_offsets_have_lengths(database_url: str) -> None:
    """Their length bounds the size of a page of dead letters and of a list of offsets."""
    await add_dropped(database_url, [dropped(0)])
    await execute(database_url, OFFSET.format("t", 0))
    for most, columns in ((1000, NAMES), (1024, {"bridge_event_raw": "script_id"}), (10_000, SENTENCES)):
        for relation, names in columns.items():
            for name in names.split(", "):
                tail = ":0:0" if name.startswith(("former_", "replay")) else ""
                await refused(database_url, f"UPDATE {relation} SET {name} = repeat('x', {most + 1}) || '{tail}'")
                await execute(
                    database_url, f"UPDATE {relation} SET {name} = repeat('x', {most - len(tail)}) || '{tail}'"
                )
    for name, most in (("record_key", 10**7), ("payload", 10**7), ("headers", 10**7), ("replay_digest", 1000)):
        await refused(database_url, f"UPDATE bridge_event_raw SET {name} = convert_to(repeat('x', {most + 1}), 'UTF8')")
        await execute(database_url, f"UPDATE bridge_event_raw SET {name} = convert_to(repeat('x', {most}), 'UTF8')")


DEEP = """
DO $$
DECLARE
    document jsonb := '1';
BEGIN
    FOR level IN 1..18000 LOOP document := jsonb_build_array(document); END LOOP;
    INSERT INTO bridge_event (
        received_at, occurred_at, site_id, script_id, event_id, event_type, properties, original, schema_version, raw_topic, raw_partition,
        raw_offset, attempt)
    VALUES (now(), now(), 1, 's', 'e', 'click', {documents}, 1, 'bridge.raw', 0, 1, 1);
END
$$
"""
LONG = """
INSERT INTO bridge_event (
    received_at, occurred_at, site_id, script_id, event_id, event_type, properties, original, schema_version, raw_topic, raw_partition,
    raw_offset, attempt)
SELECT now(), now(), 1, 's', 'e', 'click', {documents}, 1, 'bridge.raw', 0, 1, 1
FROM (SELECT jsonb_agg({value}) AS document FROM generate_series(1, {count})) AS d
"""


@pytest.mark.parametrize("documents", ["document, NULL", "'{}', document"], ids=["properties", "original"])
async def test_a_document_of_an_event_can_be_dumped_and_restored(database_url: str, documents: str) -> None:
    """Postgres stores some that it can't print or parse, and one row of them would make every backup fail."""
    with account(database_url, Service.WORKER) as url:
        with pytest.raises(asyncpg.StatementTooComplexError, match="stack depth"):
            await execute(url, DEEP.replace("{documents}", documents))
        await refused(url, LONG.format(documents=documents, value="1e131000::numeric", count=300))
        await execute(url, LONG.format(documents=documents, value="repeat('x', 60)", count=1000))


async def test_texts_of_an_event_have_lengths(database_url: str) -> None:
    """Events arrive by COPY under the worker's account, in every month."""
    made = (
        "INSERT INTO bridge_event (received_at, occurred_at, site_id, script_id, event_id, event_type, properties, schema_version,"
        " raw_topic, raw_partition, raw_offset, attempt, url) VALUES (now(), now(), 1, 's', 'e', 'x', {}, 1, 't', 0, 0, 1, {})"
    )
    with account(database_url, Service.WORKER) as url:
        await refused(url, made.format("'{}'", "repeat('x', 1000001)"))
        await refused(url, made.format("jsonb_build_object('x', repeat('x', 1000001))", "NULL"))
        await execute(url, made.format("jsonb_build_object('x', repeat('x', 100000))", "repeat('x', 100000)"))


async def test_the_longest_headers_that_are_kept_are_taken(database_url: str) -> None:
    """Up to 1 MiB of headers beside the value, in their longest form, is accepted."""
    await add_dropped(database_url, [dropped(0)])
    name = "\x01" * (2**20 // MOST_HEADERS)
    kept = encode_headers(RawBody(None, None, [(name, b"")] * MOST_HEADERS).headers)
    assert len(kept) > 6 * 2**20
    conn = await asyncpg.connect(database_url)
    try:
        await conn.execute("UPDATE bridge_event_raw SET headers = $1", kept)
    finally:
        await conn.close()


@pytest.mark.parametrize("odd", ODD_LOGS)
async def test_a_log_has_a_name_that_readers_can_read(database_url: str, odd: str) -> None:
    """The name is a topic's, or that of a replaced log."""
    await add_dropped(database_url, [dropped(0)])
    await execute(
        database_url,
        OFFSET.format("bridge.raw", 0),
        "INSERT INTO bridge_event_superseded VALUES (1, 'e', 't', 0, 0)",
        "INSERT INTO replay (replay_id, requested_by, filter, planned, state)"
        " VALUES ('00000000-0000-4000-8000-000000000001', 'x', '{}', 1, 'sent')",
        "INSERT INTO replay_item VALUES ('00000000-0000-4000-8000-000000000001', 1, 'bridge.raw', 0, 0, 'passes')",
        "INSERT INTO gate_window SELECT now(), 1, 't', 0, false, 0, 0, 0, 0, 0, 0, 0, 0, 0",
    )
    for relation, name in (
        ("stream_offset", "topic"), ("gate_window", "topic"), ("bridge_event_raw", "raw_topic"),
        ("bridge_event_superseded", "raw_topic"), ("replay_item", "raw_topic"),
    ):  # fmt: skip
        await refused(database_url, f"UPDATE {relation} SET {name} = '{odd}'")
        for usual in ("process", "A-z_0.9#2", "bridge.raw#999999999"):
            await execute(database_url, f"UPDATE {relation} SET {name} = '{usual}'")


async def test_offsets_of_no_log_break_no_command(stack: StackAddresses, database_url: str) -> None:
    """Each command shows them beside the others; the log that workers read stays the same."""
    await execute(database_url, UNBOUNDED, OFFSET.format("bridge.raw", 5), *(OFFSET.format(odd, 9) for odd in ODD_LOGS))
    given = Settings(database_url=SecretStr(database_url), kafka_bootstrap_servers=stack.kafka)
    shown = await stored_offsets(given, ask_kafka=False)
    assert {one.incarnation for one in shown if one.topic == "bridge.raw"} == {0, 1}
    sink = PostgresSink(database_url, "ghostlink-bridge")
    try:
        known = await sink.logs([TopicPartition("bridge.raw", 0)])
    finally:
        await sink.close()
    assert [(one.log.topic, one.next_offset) for one in known.values()] == [("bridge.raw", 5)]
    raw = TopicPartition("bridge.raw", 0)
    report = judge(await read_snapshot(given, deep=False), {raw: LogBounds(0, 5)}, given.topics)
    assert [one.unread for one in report.partitions if one.topic == "bridge.raw"] == [0]
    settings = {"BRIDGE_DATABASE_URL": database_url, "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": stack.kafka}
    for command in (("audit", "--quick"), ("offsets", "show"), ("doctor",)):
        told = await asyncio.to_thread(bridge, *command, settings=settings)
        assert b"Traceback" not in told.stderr, told.stderr
        assert b"bridge.raw" in told.stdout, command


async def test_the_log_in_kafka_is_the_last_that_has_a_name(
    stack: StackAddresses, database_url: str, topic_prefix: str
) -> None:
    """A name that no release wrote is shown without bounds."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    raw = settings.topics.raw
    names = (raw, f"{raw}#2", f"{raw}#10", f"{raw}#x", f"{raw}#xyz")
    await execute(
        database_url,
        UNBOUNDED,
        *(OFFSET.format(one, 0).replace("ghostlink-bridge", settings.group) for one in names),
    )
    ends = {one.incarnation: one.log_end for one in await stored_offsets(settings) if one.partition == 0}
    assert ends == {1: None, 2: None, 10: 0, 0: None}


async def test_what_holds_a_partition_is_noted_however_long(database_url: str) -> None:
    """The reason is cut and stored, regardless of the length of the client's message."""
    await execute(database_url, OFFSET.format("bridge.raw", 5))
    sink = PostgresSink(database_url, "ghostlink-bridge")
    try:
        await sink.hold(TopicPartition("bridge.raw", 0), "so\x00 " + "x" * 20_000)
    finally:
        await sink.close()
    assert str(await value_of(database_url, "SELECT held FROM stream_offset")).startswith("so\ufffd xxx")


@pytest.mark.parametrize(
    "odd", ["", "bridge.raw", "bridge.raw:", ":0", "bridge.raw:x", "bridge.raw:-1", "bridge.raw:99999999999"]
)
async def test_a_pause_of_no_partition_keeps_no_registry_from_being_read(database_url: str, odd: str) -> None:
    """An invalid target pauses nothing; the other pauses are in effect."""
    await execute(
        database_url,
        *(
            f"INSERT INTO pause (kind, target, paused_by, reason) VALUES ('partition', '{target}', 'ops', 'so it is')"
            for target in (odd, "bridge.raw:7")
        ),
    )
    cache = RegistryCache(database_url, refresh_seconds=60)
    await cache.load()
    assert cache.paused_partitions == {TopicPartition("bridge.raw", 7): "paused by ops: so it is"}


def test_dead_letters_stand_in_logs_that_provenances_name() -> None:
    """The form of the migration is that of Provenance.parse."""
    for odd in ODD_LOGS:
        with pytest.raises(ValueError, match="provenance"):
            Provenance.parse(f"{odd}:0:0")
