"""Topics: created as declared, corrected without loss, and compared item by item."""

import asyncio
import socket
import time

import pytest
from aiokafka.admin import NewTopic
from support.processes.command import words
from support.processes.programs import run
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from schemas.config.settings import Settings
from schemas.errors import PreconditionFailed
from sinks.kafka import admin as admin_module
from sinks.kafka.admin import kafka_admin, topic_facts
from sinks.kafka.aiokafka_patches.configs import read_configs, set_configs
from sinks.kafka.topics import apply_topics, check_topics, declared


def _settings(stack: StackAddresses, prefix: str, **changed: object) -> Settings:
    chosen: dict[str, object] = {
        "kafka_bootstrap_servers": stack.kafka,
        "topic_prefix": prefix,
        "topic_partitions": 2,
        "retry_delays": ("1s", "2s"),
    }
    return Settings(**(chosen | changed))  # type: ignore[arg-type]  # the settings validate what they are given


async def test_apply_makes_what_is_missing(stack: StackAddresses, topic_prefix: str) -> None:
    """All topics, with equal partitions for raw, retry and DLQ; the second run changes nothing."""
    settings = _settings(stack, topic_prefix)
    names = ["raw", "retry.1s", "retry.2s", "dlq", "gate"]
    missing = await check_topics(settings)
    assert [line.split(": missing")[0] for line in missing] == [topic_prefix + name for name in names]

    applied = await apply_topics(settings)

    assert applied.done == missing
    assert applied.left == []
    assert await check_topics(settings) == []
    async with kafka_admin(settings) as client:
        facts = await topic_facts(client)
    assert [facts[topic_prefix + name].partitions for name in names] == [2, 2, 2, 2, 1]
    assert await apply_topics(settings) == ([], [])


async def test_two_that_apply_at_once_both_end_well(stack: StackAddresses, topic_prefix: str) -> None:
    """The second apply finds the topic in place."""
    settings = _settings(stack, topic_prefix)

    await asyncio.gather(*(apply_topics(settings) for _ in range(3)))

    assert await check_topics(settings) == []


async def test_a_dry_run_changes_nothing(stack: StackAddresses, topic_prefix: str) -> None:
    """A dry run reports what it would change."""
    settings = _settings(stack, topic_prefix)
    before = await check_topics(settings)

    assert (await apply_topics(settings, dry_run=True)).done == before
    assert await check_topics(settings) == before


async def test_checking_makes_no_topic(stack: StackAddresses, topic_prefix: str) -> None:
    """A check doesn't request topics by name, which could create them."""
    settings = _settings(stack, topic_prefix)
    await check_topics(settings)

    async with kafka_admin(settings) as client:
        assert not [name for name in await topic_facts(client) if name.startswith(topic_prefix)]


async def test_apply_corrects_partitions_and_configs_and_nothing_else(stack: StackAddresses, topic_prefix: str) -> None:
    """Partitions are added and different configs set; a config that is not declared stays as an operator set it."""
    settings = _settings(stack, topic_prefix)
    await apply_topics(settings)
    raw, dlq = settings.topics.raw, settings.topics.dlq
    async with kafka_admin(settings) as client:
        await set_configs(
            client, {raw: {"retention.ms": "1000", "segment.ms": "123456"}, dlq: {"cleanup.policy": "compact"}}
        )
    more = settings.model_copy(update={"topic_partitions": 3})

    expected = {
        f"{raw}: retention.ms is 1000, declared is 604800000",
        f"{dlq}: cleanup.policy is compact, declared is delete",
        *(f"{spec.name}: has 2 partitions, declared are 3" for spec in declared(more)[:-1]),
    }

    async def all_named() -> bool:
        return set(await check_topics(more)) == expected

    await wait_until(all_named, budget_seconds=20, describe="the differences named")
    applied = await apply_topics(more)
    assert (set(applied.done), applied.left) == (expected, [])
    assert await check_topics(more) == []
    async with kafka_admin(settings) as client:
        configs = await read_configs(client, {raw: {"retention.ms": "", "segment.ms": "", "max.message.bytes": ""}})
        facts = await topic_facts(client)
    assert configs[raw] == {"retention.ms": "604800000", "segment.ms": "123456", "max.message.bytes": "1048576"}
    assert {facts[spec.name].partitions for spec in declared(more)[:-1]} == {3}


async def test_what_kafka_cannot_change_is_left_and_named(stack: StackAddresses, topic_prefix: str) -> None:
    """Too many partitions and another replication are reported each time; the rest is corrected."""
    settings = _settings(stack, topic_prefix)
    async with kafka_admin(settings) as client:
        await client.create_topics([NewTopic(settings.topics.raw, 5, 1)])
    await apply_topics(settings)

    (left,) = await check_topics(settings)
    assert left.startswith(f"{settings.topics.raw}: has 5 partitions, declared are 2; Kafka can't take")
    replicated = settings.model_copy(update={"topic_replication": 2})
    applied = await apply_topics(replicated)
    assert applied.done == []
    assert (
        f"{settings.topics.dlq}: has 1 replicas, declared are 2; reassign them with Kafka's own tools" in applied.left
    )


async def test_a_refusal_says_so(stack: StackAddresses, topic_prefix: str) -> None:
    """A topic with more replicas than brokers gives one line with Kafka's reason."""
    with pytest.raises(PreconditionFailed, match=r"refused: .*creating .*raw"):
        await apply_topics(_settings(stack, topic_prefix, topic_replication=9))


async def test_a_broker_that_never_answers(monkeypatch: pytest.MonkeyPatch, topic_prefix: str) -> None:
    """A port that accepts connections and doesn't answer is given up after a bounded time."""
    monkeypatch.setattr(admin_module, "ANSWER_SECONDS", 0.5)
    silent = socket.create_server(("127.0.0.1", 0))
    port = silent.getsockname()[1]
    started = time.monotonic()

    with pytest.raises(PreconditionFailed, match=f"Kafka at 127.0.0.1:{port} does not answer"):
        await check_topics(Settings(kafka_bootstrap_servers=f"127.0.0.1:{port}", topic_prefix=topic_prefix))

    assert time.monotonic() - started < 5
    silent.close()


def test_the_commands(stack: StackAddresses, topic_prefix: str) -> None:
    """Exit code 1 with the differences, 0 after `apply`, 2 with some left, 3 and one line with Kafka away."""

    def bridge(*given: str, **changed: str) -> tuple[int, str, str]:
        environment = {
            "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": stack.kafka,
            "BRIDGE_TOPIC_PREFIX": topic_prefix,
            "BRIDGE_TOPIC_PARTITIONS": "2",
            "BRIDGE_RETRY_DELAYS": "1s",
        }
        done = run(words("topics", *given), changed=environment | changed)
        return done.returncode, done.stdout, done.stderr

    code, told, _ = bridge("check")
    assert code == 1
    assert told.count("missing") == 4
    code, told, _ = bridge("apply", "--dry-run")
    assert (code, told.count("would correct: ")) == (0, 4)
    code, told, error = bridge("apply")
    assert (code, told.count("corrected: "), error) == (0, 4, "")
    assert bridge("check") == (0, "as declared\n", "")
    assert bridge("apply") == (0, "up to date\n", "")
    code, told, error = bridge("apply", BRIDGE_TOPIC_PARTITIONS="1")
    assert (code, told) == (2, "")
    assert error.count("left: ") == 3
    code, told, error = bridge("check", BRIDGE_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert (code, told) == (3, "")
    assert error.startswith("error: Kafka at 127.0.0.1:1 does not answer")
    assert error.count("\n") == 1
