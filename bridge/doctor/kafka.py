"""Checks of Kafka: brokers that are reachable at their advertised addresses, and topics as declared and replicated."""

import asyncio
from collections.abc import Mapping
from typing import Final

from bridge.doctor.check import Check, Finding, Findings, each, fail, listed, ok, warn
from schemas.config.settings import Settings
from sinks.kafka.admin import Broker, ClusterFacts, TopicFacts, cluster_facts, kafka_admin, topic_facts
from sinks.kafka.topics import check_topics, declared

_CONNECT_SECONDS = 3.0
_MOST_PARTITIONS = 10


async def _cluster(settings: Settings) -> Findings:
    async with kafka_admin(settings) as client:
        cluster = await cluster_facts(client)
    yield [judge_cluster(cluster, settings.topic_replication)]
    answers = await asyncio.gather(*(_answers(broker) for broker in cluster.brokers))
    silent = [broker for broker, answer in zip(cluster.brokers, answers, strict=True) if not answer]
    for broker in silent:
        found = f"broker {broker.node_id} advertises {broker.host}:{broker.port}, which can't be reached from here"
        yield [fail("brokers", found, "start the broker, or correct its advertised.listeners or the network to it")]
    if not silent:
        yield [ok("brokers", "each broker answers at the address that it advertises")]


def judge_cluster(cluster: ClusterFacts, replication: int) -> Finding:
    """Check that the cluster has a controller, and enough brokers for the declared replicas."""
    count = len(cluster.brokers)
    state = f"cluster {cluster.cluster_id}, {count} {'broker' if count == 1 else 'brokers'}"
    if count < replication:
        mend = "start the missing brokers, or lower BRIDGE_TOPIC_REPLICATION"
        return fail("cluster", f"{state}, but topics are declared with {replication} replicas", mend)
    if not cluster.has_controller:
        mend = "see the controllers' logs; without a controller, topics can't be changed"
        return fail("cluster", f"{state}, and no controller", mend)
    return ok("cluster", state)


async def _answers(broker: Broker) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(broker.host, broker.port)
    except OSError:
        return False
    writer.close()
    return True


async def _declared(settings: Settings) -> Findings:
    lines = await check_topics(settings)
    yield each(fail, "topics", lines, "run `bridge topics apply`, which corrects what Kafka can change")
    if not lines:
        count = len(declared(settings))
        yield [ok("topics", f"{count} topics as declared: partitions, replicas, LogAppendTime, sizes and retention")]


async def _replicas(settings: Settings) -> Findings:
    names = {spec.name for spec in declared(settings)}
    async with kafka_admin(settings) as client:
        facts = {name: fact for name, fact in (await topic_facts(client)).items() if name in names}
    yield judge_replicas(facts, settings.topic_min_insync)


def judge_replicas(facts: Mapping[str, TopicFacts], in_sync: int) -> list[Finding]:
    """Check each partition's leader, and its replicas in sync.

    There must be enough replicas in sync to accept writes, also while one broker is down.
    """
    if not facts:
        return [fail("in sync", "none of the declared topics exists", "run `bridge topics apply`")]
    troubles = []
    for name, fact in sorted(facts.items()):
        stuck = [number for number, synced in fact.in_sync.items() if synced < in_sync]
        lagging = [number for number, synced in fact.in_sync.items() if in_sync <= synced < fact.replication]
        if stuck:
            few = f"partitions {listed(stuck, _MOST_PARTITIONS)} have fewer than {in_sync} replicas in sync"
            mend = "start the brokers that have the replicas"
            troubles.append(fail("in sync", f"{name}: {few}, so no write succeeds", mend))
        if lagging:
            found = f"{name}: partitions {listed(lagging, _MOST_PARTITIONS)} lack a replica in sync"
            troubles.append(warn("in sync", found, "find the broker that is unreachable or slow"))
    return troubles or [ok("in sync", f"all replicas of {len(facts)} topics")]


CHECKS: Final = (
    Check("kafka", "cluster", _cluster),
    Check("kafka", "topics", _declared),
    Check("kafka", "in sync", _replicas),
)
