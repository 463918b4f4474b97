"""Readiness of a gateway: it needs Kafka and a copy of the registry, and works without Postgres."""

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

    return Needs(
        ask_kafka,
        lambda: {"registry": producers.read_at is not None},
        lambda: {"registry_age_seconds": producers.age_seconds},
        frozenset({"kafka", "registry"}),
    )
