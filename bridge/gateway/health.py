"""Readiness of a gateway: it needs Kafka and a copy of the registry, and works without Postgres."""

import time
from collections.abc import Mapping

from bridge.gateway.publisher import Publisher
from schemas.errors import SinkUnavailable
from sinks.postgres.registry.producers import ProducerRegistry
from sinks.readiness import Needs


def needs_of_gateway(producers: ProducerRegistry, publisher: Publisher) -> Needs:
    """Return the health checks. Kafka also counts as unreachable while its acknowledgements take too long."""

    async def ask_kafka() -> None:
        if publisher.stuck:
            raise SinkUnavailable("Kafka does not acknowledge records in time")
        await publisher.look()

    def own() -> Mapping[str, bool]:
        return {"registry": producers.read_at is not None}

    def figures() -> Mapping[str, float | None]:
        read_at = producers.read_at
        return {"registry_age_seconds": None if read_at is None else round(time.monotonic() - read_at, 1)}

    return Needs(ask_kafka, own, figures, frozenset({"kafka", "registry"}))
