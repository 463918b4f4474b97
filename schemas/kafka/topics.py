"""The declared topics: names, partitions, retention and sizes. The prefix is a setting.

`bridge topics apply` creates them.
"""

from typing import NamedTuple

DAY_MS = 24 * 60 * 60 * 1000
MIB = 1024 * 1024


class TopicSpec(NamedTuple):
    """One declared topic. `bridge topics check` compares its `config` with Kafka's."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


class Topics:
    """The names of all topics with one prefix. `tiers` are the labels of the retry tiers, in order."""

    def __init__(self, prefix: str, tiers: tuple[str, ...]) -> None:
        self.prefix = prefix
        self.tiers = tiers
        self.raw = f"{prefix}raw"
        self.dlq = f"{prefix}dlq"
        self.gate = f"{prefix}gate"
        self.retries = tuple(f"{prefix}retry.{tier}" for tier in tiers)

    def has(self, topic: str) -> bool:
        """Whether the topic is one of the product's own, or that of a retry tier that is not configured any more."""
        return topic in (self.raw, self.dlq, self.gate) or topic.startswith(f"{self.prefix}retry.")

    def specs(self, *, partitions: int, replication: int, min_insync: int) -> list[TopicSpec]:
        """Return the topics that `bridge topics apply` creates.

        The broker stamps records, so producers can't choose times.
        """

        def spec(name: str, count: int, days: int, size: int, cleanup: str = "delete") -> TopicSpec:
            config = {
                "message.timestamp.type": "LogAppendTime",
                "max.message.bytes": str(size),
                "cleanup.policy": cleanup,
                "retention.ms": str(days * DAY_MS),
                "min.insync.replicas": str(min_insync),
                "unclean.leader.election.enable": "false",
            }
            return TopicSpec(name, count, replication, config)

        return [
            spec(self.raw, partitions, 7, MIB),
            *(spec(name, partitions, 7, 2 * MIB) for name in self.retries),
            spec(self.dlq, partitions, 30, 2 * MIB),
            spec(self.gate, 1, 7, MIB, cleanup="compact"),
        ]
