"""What a worker needs to be ready: Kafka and Postgres; lanes that wait in place only degrade it."""

from collections.abc import Callable, Mapping, Sequence

from sinks.readiness import Needs
from streams.source.kafka import KafkaSource
from streams.worker.lane import Lane


def needs_of_worker(source: KafkaSource, lanes: Callable[[], Sequence[Lane]]) -> Needs:
    """Degraded while a lane waits or there is none: another worker may have the partitions, or all wait for a service."""

    def own() -> Mapping[str, bool]:
        return {"lanes": bool(lanes()) and not any(lane.waiting for lane in lanes())}

    def figures() -> Mapping[str, int]:
        return {"partitions": sum(len(lane.sources) for lane in lanes())}

    return Needs(source.cluster, own, figures, frozenset({"kafka", "postgres"}))
