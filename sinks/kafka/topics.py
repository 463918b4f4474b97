"""The topics that the settings declare: comparison with the topics in Kafka, creation and correction in Kafka."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import InvalidPartitionsError, TopicAlreadyExistsError, for_code

from schemas.config.settings import Settings
from schemas.kafka.topics import TopicSpec
from sinks.kafka.admin import TopicFacts, kafka_admin, topic_facts
from sinks.kafka.aiokafka_patches.configs import read_configs, set_configs

# The longest delay, in seconds, until metadata show a change that the controller has made.
_SHOWN_SECONDS = 10.0
_LOOK_SECONDS = 0.1


class Difference(NamedTuple):
    """One difference between a topic in Kafka and the declaration of the topic in the settings.

    If `by_hand` is True, `apply_topics` can't remove the difference.
    """

    spec: TopicSpec
    line: str
    create: bool = False
    add_partitions: bool = False
    config: tuple[str, str] | None = None

    @property
    def by_hand(self) -> bool:
        """Whether Kafka has no request that removes the difference."""
        return not (self.create or self.add_partitions or self.config)


class Applied(NamedTuple):
    """The changes that `apply_topics` made (or would make), and the differences left for the operator, as texts."""

    done: list[str]
    left: list[str]


def declared(settings: Settings) -> list[TopicSpec]:
    """Return the topics that the settings declare."""
    return settings.topics.specs(
        partitions=settings.topic_partitions,
        replication=settings.topic_replication,
        min_insync=settings.topic_min_insync,
    )


async def check_topics(settings: Settings) -> list[str]:
    """Return a line for each difference between topics in Kafka and declared topics; raises PreconditionFailed."""
    async with kafka_admin(settings) as client:
        return [one.line for one in await _differences(client, declared(settings))]


async def apply_topics(settings: Settings, *, dry_run: bool = False) -> Applied:
    """Create missing topics, add missing partitions and set configs that differ; delete and reset nothing.

    This may be repeated, and may run in several processes at the same time. Raises PreconditionFailed when Kafka is
    away or refuses a request.
    """
    specs = declared(settings)
    done: list[str] = []
    async with kafka_admin(settings) as client:
        found = await _differences(client, specs)
        deadline = time.monotonic() + _SHOWN_SECONDS
        while todo := [one for one in found if not one.by_hand]:
            if dry_run:
                return Applied([one.line for one in todo], [one.line for one in found if one.by_hand])
            if time.monotonic() > deadline:
                break
            # Metadata show the corrections only after a while. Topics that another process created are also seen only
            # then.
            await _correct(client, [one for one in todo if one.line not in done])
            done += [one.line for one in todo if one.line not in done]
            await asyncio.sleep(_LOOK_SECONDS)
            found = await _differences(client, specs)
    return Applied(done, [one.line for one in found])


def compare(
    specs: Sequence[TopicSpec], facts: Mapping[str, TopicFacts], configs: Mapping[str, Mapping[str, str]]
) -> Iterator[Difference]:
    """Yield the differences between the declared topics and Kafka's, by topic; a pure function."""
    for spec in specs:
        fact = facts.get(spec.name)
        if fact is None:
            yield Difference(spec, f"{spec.name}: missing; declared with {spec.partitions} partitions", create=True)
            continue
        counts = f"{spec.name}: has {fact.partitions} partitions, declared are {spec.partitions}"
        if fact.partitions < spec.partitions:
            yield Difference(spec, counts, add_partitions=True)
        elif fact.partitions > spec.partitions:
            yield Difference(spec, f"{counts}; Kafka can't take partitions away: raise BRIDGE_TOPIC_PARTITIONS")
        if fact.replication != spec.replication:
            line = f"{spec.name}: has {fact.replication} replicas, declared are {spec.replication}"
            yield Difference(spec, f"{line}; reassign them with Kafka's own tools")
        have = configs.get(spec.name, {})
        for name, value in spec.config.items():
            if have.get(name) != value:
                line = f"{spec.name}: {name} is {have.get(name)}, declared is {value}"
                yield Difference(spec, line, config=(name, value))


async def _differences(client: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> list[Difference]:
    facts = await topic_facts(client)
    configs = await read_configs(client, {spec.name: spec.config for spec in specs if spec.name in facts})
    return list(compare(specs, facts, configs))


async def _correct(client: AIOKafkaAdminClient, todo: Sequence[Difference]) -> None:
    await _create(client, [one.spec for one in todo if one.create])
    await _add_partitions(client, [one.spec for one in todo if one.add_partitions])
    await _set_configs(client, todo)


async def _create(client: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
    if not specs:
        return
    wanted = [NewTopic(one.name, one.partitions, one.replication, topic_configs=one.config) for one in specs]
    response = await client.create_topics(wanted)
    for topic, code, *message in response.topic_errors:
        # Another process has added them. The next comparison shows the differences that remain.
        if code not in (0, TopicAlreadyExistsError.errno):
            raise for_code(code)(f"creating {topic}: {message[0] if message else 'refused'}")


async def _add_partitions(client: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> None:
    for one in specs:
        # The error means that another process has added them.
        with suppress(InvalidPartitionsError):
            await client.create_partitions({one.name: NewPartitions(total_count=one.partitions)})


async def _set_configs(client: AIOKafkaAdminClient, todo: Sequence[Difference]) -> None:
    wanted: dict[str, dict[str, str]] = {}
    for one in todo:
        if one.config is not None:
            wanted.setdefault(one.spec.name, {})[one.config[0]] = one.config[1]
    await set_configs(client, wanted)
