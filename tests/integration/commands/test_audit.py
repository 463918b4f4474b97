"""The audit: balanced while and after a worker commits, unbalanced after each tampering."""

import json
import secrets
from collections.abc import Iterator

import asyncpg
import pytest
from support.events.settled import event, prepare, produce, settings_for, settle_everything, settling, working
from support.infrastructure.databases import create_database, drop_database, run_apart
from support.processes.command import words
from support.processes.programs import run
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from schemas.config.settings import Settings
from schemas.errors import PreconditionFailed
from sinks.postgres.audit.snapshot import acknowledge_lost, read_snapshot
from streams.audit import audit

# Changes made outside of the product, and the problem that the audit must report.
TAMPERINGS = {
    "an event row deleted": (
        "DELETE FROM bridge_event WHERE (raw_partition, raw_offset) = (0, 0)",
        ["raw-0: ", "are accounted for", "all windows together count"],
    ),
    "an event row doubled": (
        "INSERT INTO bridge_event SELECT * FROM bridge_event WHERE (raw_partition, raw_offset) = (1, 1)",
        ["raw-1: 1 raw events have more than one event row, first at offset 1"],
    ),
    "one event deleted and another doubled": (
        """WITH gone AS (DELETE FROM bridge_event WHERE (raw_partition, raw_offset) = (0, 0))
           INSERT INTO bridge_event SELECT * FROM bridge_event WHERE (raw_partition, raw_offset) = (0, 1)""",
        ["raw-0: 1 raw events have more than one event row, first at offset 1"],
    ),
    "a healed event deleted": (
        "DELETE FROM bridge_event WHERE raw_offset = (SELECT min(raw_offset) FROM bridge_event WHERE attempt > 1)",
        ["are healed by the ledger but have no event row"],
    ),
    "a window raised": (
        "UPDATE gate_window SET processed = processed + 1, normalized = normalized + 1 WHERE normalized > 0",
        ["the gate windows count", "all windows together count"],
    ),
    "a window deleted": ("DELETE FROM gate_window WHERE retried > 0", ["the gate windows count", "retried"]),
    "a window's reasons changed": (
        """UPDATE gate_window SET dropped_schema_violation = dropped_schema_violation - 1,
           dropped_retry_exhausted = dropped_retry_exhausted + 1 WHERE dropped_schema_violation > 0""",
        ["dropped as schema_violation", "dropped as retry_exhausted"],
    ),
    "a raw offset moved up": (
        "UPDATE stream_offset SET next_offset = next_offset + 1 WHERE topic LIKE '%raw' AND partition = 1",
        ["raw-1: an offset moved: ", "beyond Kafka's end"],
    ),
    "a raw offset moved down": (
        "UPDATE stream_offset SET next_offset = next_offset - 1 WHERE topic LIKE '%raw' AND partition = 0",
        ["raw-0: an offset moved: rows reach", "raw-0: ", "are accounted for"],
    ),
    "a raw base moved": (
        "UPDATE stream_offset SET base_offset = base_offset + 1 WHERE topic LIKE '%raw' AND partition = 0",
        ["raw-0: an offset moved: rows reach from 0"],
    ),
    "a retry offset moved down": (
        "UPDATE stream_offset SET next_offset = next_offset - 1 WHERE topic LIKE '%retry.100ms' AND next_offset > 0",
        ["retry.100ms-", "are in the running totals"],
    ),
    "an offset row deleted": (
        "DELETE FROM stream_offset WHERE topic LIKE '%raw' AND partition = 1",
        ["raw-1: ", "but no stored offset"],
    ),
    "a dropped event's ledger row deleted": (
        "DELETE FROM bridge_event_raw WHERE dropped_reason = 'invalid_payload_json'",
        ["are accounted for", "dropped as invalid_payload_json"],
    ),
    "a healed event's ledger row deleted": (
        "DELETE FROM bridge_event_raw WHERE dropped_reason IS NULL",
        ["healed at a retry but have no ledger row", "later attempts"],
    ),
    "a healed event called dropped": (
        "UPDATE bridge_event_raw SET dropped_reason = 'retry_exhausted' WHERE dropped_reason IS NULL",
        ["have an event row, but a ledger row that contradicts it"],
    ),
    "a retry count changed": (
        "UPDATE bridge_event_raw SET retry_count = retry_count + 1 WHERE dropped_reason IS NULL",
        ["healed at another attempt than the ledger has", "retried"],
    ),
    "a key deleted": (
        "DELETE FROM bridge_event_key WHERE event_key = (SELECT min(event_key) FROM bridge_event_key)",
        ["bridge_event_key: 47 keys for the 48 events"],
    ),
    "a key added": (
        "INSERT INTO bridge_event_key VALUES ('x', now())",
        ["bridge_event_key: 49 keys, but only 48 events"],
    ),
    "a running total changed": (
        "UPDATE stream_offset SET live = live + 1 WHERE topic LIKE '%raw' AND partition = 0",
        ["raw-0: the running totals count", "first attempts"],
    ),
    "a loss that nobody acknowledged": (
        "UPDATE stream_offset SET lost = lost + 1, skipped = skipped - 1 WHERE topic LIKE '%raw' AND skipped > 0",
        ["1 records are lost, and the loss is not acknowledged"],
    ),
}


@pytest.fixture(scope="module")
def settled(stack: StackAddresses, template_database: str) -> Iterator[tuple[str, str]]:
    """A database's name and a topic prefix with everything committed; tests work on copies."""
    name, prefix = f"settled_{secrets.token_hex(4)}", f"a{secrets.token_hex(3)}."
    url = create_database(stack, name, template=template_database)
    try:
        run_apart(settle_everything(settling(stack.kafka, url, prefix)))
        yield name, prefix
    finally:
        drop_database(stack, name)


@pytest.fixture
def settings(stack: StackAddresses, settled: tuple[str, str]) -> Iterator[Settings]:
    """Settings for a copy of that database."""
    name = f"audit_{secrets.token_hex(4)}"
    try:
        url = create_database(stack, name, template=settled[0])
        yield settling(stack.kafka, url, settled[1])
    finally:
        drop_database(stack, name)


async def _execute(settings: Settings, statement: str) -> str:
    conn = await asyncpg.connect(settings.dsn)
    try:
        return str(await conn.execute(statement))
    finally:
        await conn.close()


async def test_a_settled_stream_is_balanced(settings: Settings) -> None:
    """Every kind of outcome is counted once, markers count as skipped, and nothing is unread."""
    report = await audit(settings)

    assert report.problems == []
    assert report.balanced
    totals = report.totals
    assert (totals.persisted, totals.dropped, totals.waiting, totals.healed) == (48, 5, 0, 2)
    assert totals.dropped_by_reason == {
        "duplicate_event_id": 2, "invalid_payload_json": 1, "schema_violation": 1, "retry_exhausted": 1,
    }  # fmt: skip
    assert totals.skipped == 2
    assert totals.read == totals.persisted + totals.dropped + totals.skipped + totals.stale
    assert (totals.lost, totals.unread, totals.keys, totals.keys_pruned) == (0, 0, 48, 0)


async def test_the_quick_audit_agrees(settings: Settings) -> None:
    """The quick audit finds the same sums in the running totals without counting rows."""
    quick, deep = await audit(settings, deep=False), await audit(settings)

    assert quick.balanced
    assert not quick.deep
    for name in ("read", "persisted", "dropped", "retried", "stale", "skipped", "lost", "unread"):
        assert getattr(quick.totals, name) == getattr(deep.totals, name), name


@pytest.mark.parametrize("tampering", TAMPERINGS)
async def test_a_tampering_is_found(settings: Settings, tampering: str) -> None:
    """The audit is unbalanced and names the partition."""
    statement, expected = TAMPERINGS[tampering]
    changed = await _execute(settings, statement)
    assert not changed.endswith(" 0"), "the tampering changed nothing"

    report = await audit(settings)

    assert not report.balanced
    for said in expected:
        assert any(said in problem for problem in report.problems), (said, report.problems)


@pytest.mark.parametrize("tampering", ["a window raised", "a raw offset moved up", "a retry offset moved down"])
async def test_the_quick_audit_finds_it_too(settings: Settings, tampering: str) -> None:
    """Changed offsets and windows contradict the running totals."""
    await _execute(settings, TAMPERINGS[tampering][0])

    assert not (await audit(settings, deep=False)).balanced


async def test_an_acknowledged_loss_is_balanced(settings: Settings) -> None:
    """A loss that an operator has acknowledged is accounted for."""
    await _execute(settings, TAMPERINGS["a loss that nobody acknowledged"][0])
    lost = [source for source, one in (await read_snapshot(settings, deep=False)).offsets.items() if one.lost]

    assert [await acknowledge_lost(settings, source) for source in lost] == [1] * len(lost)
    assert [await acknowledge_lost(settings, source) for source in lost] == [0] * len(lost)
    report = await audit(settings)

    assert report.balanced, report.problems
    assert report.totals.lost > 0


async def test_old_events_need_no_key(settings: Settings) -> None:
    """Keys are pruned by age, so an event older than the raw topic's retention may lack one."""
    await _execute(
        settings, "UPDATE bridge_event SET received_at = received_at - interval '8 days' WHERE raw_offset = 0"
    )
    await _execute(
        settings,
        "DELETE FROM bridge_event_key WHERE event_key IN"
        " (SELECT event_key FROM bridge_event_key ORDER BY received_at LIMIT 2)",
    )

    report = await audit(settings)

    assert report.balanced, report.problems
    assert report.totals.keys_pruned == 2


async def test_what_is_not_read_yet_is_no_imbalance(
    stack: StackAddresses, database_url: str, topic_prefix: str
) -> None:
    """Records not read yet count as unread, with and without a stored offset."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    await produce(settings, [event(number) for number in range(10)])

    report = await audit(settings)

    assert report.balanced, report.problems
    assert (report.totals.read, report.totals.unread) == (0, 10)


async def test_balanced_at_every_moment_of_the_work(
    stack: StackAddresses, database_url: str, topic_prefix: str
) -> None:
    """The snapshot is taken before Kafka's end offsets, so events in flight don't unbalance an audit."""
    settings = settings_for(stack.kafka, database_url, topic_prefix, batch_max_records=50)
    await prepare(settings)
    await produce(
        settings, [event(number, script_id="nobody") if number % 9 == 0 else event(number) for number in range(4000)]
    )
    seen = set()

    async def all_read() -> bool:
        report = await audit(settings)
        assert report.balanced, report.problems
        seen.add(report.totals.read)
        return report.totals.unread == 0 and report.totals.waiting == 0

    async with working(settings):
        await wait_until(all_read, budget_seconds=60, describe="everything settled")

    assert len(seen - {0, 4000}) > 0, "no audit fell into the work"


def test_the_command_reports_and_ends_with_the_verdict(settings: Settings) -> None:
    """Exit code 0 with a table when balanced, 1 with the problems, also as JSON, when not, 3 without a schema."""
    command = words("audit")
    environment = _environment(settings)

    balanced = run(command, changed=environment)
    assert (balanced.returncode, balanced.stderr) == (0, "")
    assert "balanced" in balanced.stdout
    assert f"{settings.topics.raw}-0" in balanced.stdout

    run_apart(_execute(settings, TAMPERINGS["an event row deleted"][0]))
    tampered = run(words("audit", "--json-output", "-"), changed=environment)
    assert tampered.returncode == 1
    document = json.loads(tampered.stdout)
    assert document["balanced"] is False
    assert any("raw-0" in problem for problem in document["problems"])

    run_apart(_execute(settings, "DROP TABLE stream_offset CASCADE"))
    broken = run(command, changed=environment)
    assert broken.returncode == 3
    assert "bridge db migrate" in broken.stderr


async def test_kafka_away_is_the_environments_trouble(settings: Settings) -> None:
    """The error is one line with the brokers' addresses."""
    with pytest.raises(PreconditionFailed, match=r"Kafka at 127\.0\.0\.1:1 does not answer"):
        await audit(settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"}))


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "BRIDGE_DATABASE_URL": settings.dsn,
        "BRIDGE_TOPIC_PREFIX": settings.topic_prefix,
        "BRIDGE_GROUP": settings.group,
        "BRIDGE_RETRY_DELAYS": "100ms,300ms",
    }
