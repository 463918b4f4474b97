"""The readiness of a worker. It is not ready without Kafka or Postgres, and degraded while one of its tasks waits."""

from collections.abc import Callable, Mapping, Sequence

from sinks.readiness import Needs
from streams.source.kafka import KafkaSource
from streams.worker.lane import Lane


def needs_of_worker(source: KafkaSource, lanes: Callable[[], Sequence[Lane]]) -> Needs:
    """Return what a worker needs to be ready, and what makes it degraded.

    A worker is degraded if it has no lanes (tasks that read partitions), since other workers then have the partitions,
    or if a lane waits for a service.
    """

    def own() -> Mapping[str, bool]:
        return {"lanes": bool(lanes()) and not any(lane.waiting for lane in lanes())}

    def figures() -> Mapping[str, int]:
        return {"partitions": sum(len(lane.sources) for lane in lanes())}

    return Needs(source.cluster, own, figures, frozenset({"kafka", "postgres"}))
