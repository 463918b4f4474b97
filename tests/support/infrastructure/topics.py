"""Topics that are deleted and recreated, as by an operator's accident."""

from collections.abc import Sequence

from schemas.config.settings import Settings
from sinks.kafka.admin import kafka_admin, topic_facts
from sinks.kafka.topics import apply_topics
from support.wait import wait_until


async def make_anew(settings: Settings, topics: Sequence[str]) -> None:
    """Delete and recreate the topics."""
    async with kafka_admin(settings) as client:
        await client.delete_topics(list(topics))

        async def gone() -> bool:
            return not set(topics) & (await topic_facts(client)).keys()

        await wait_until(gone, budget_seconds=30, describe="the topics gone")
    await apply_topics(settings)
