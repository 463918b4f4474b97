"""The age of the lag gauge: its timestamp stays while Kafka does not answer."""

import asyncio
from collections.abc import Iterable, Mapping

from support.wait import wait_until

from schemas.config.settings import Settings
from schemas.pipeline.record import TopicPartition
from streams.source.kafka import SourceUnavailable
from streams.worker.gauges import Observation
from telemetry import metrics


class Kafka:
    """A source without partitions that answers or fails."""

    heads: Mapping[TopicPartition, object] = {}

    def __init__(self) -> None:
        self.answers, self.asked = True, 0

    async def ends(self, _sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked += 1
        if not self.answers:
            raise SourceUnavailable("reading offsets from Kafka: no answer within 10 s")
        return {}


async def test_the_moment_stands_still_while_kafka_does_not_answer() -> None:
    """The timestamp moves again with the first answer."""
    kafka = Kafka()
    observation = Observation(Settings(lag_interval="1ms"), kafka, list)  # type: ignore[arg-type]  # as much as is asked of it

    def shown() -> float:
        observation.show_lag()
        return metrics.REGISTRY.get_sample_value("bridge_log_ends_read_timestamp_seconds") or 0.0

    async def asked_again() -> None:
        before = kafka.asked
        await wait_until(lambda: kafka.asked > before + 2, budget_seconds=10, describe="two more questions")

    looking = asyncio.create_task(observation._see_ends())
    try:
        await asked_again()
        answered = shown()
        assert answered > 0
        kafka.answers = False
        await asked_again()
        silent = shown()
        await asked_again()
        assert shown() == silent
        kafka.answers = True
        await wait_until(lambda: shown() > silent, budget_seconds=10, describe="another answer")
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
