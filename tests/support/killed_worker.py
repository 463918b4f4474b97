"""A real worker that ends itself with SIGKILL at a named point of settling: run as a process of its own."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.outcome import Outcomes
from schemas.record import TopicPartition
from sinks.postgres_sink import PostgresSink
from sinks.sink import Committed
from streams.source import KafkaSource

AFTER_PUBLISHING = "after-publishing"
BEFORE_KAFKA_COMMIT = "before-kafka-commit"


def arm(point: str) -> None:
    """Puts the kill where the name says; the third settlement that qualifies is the last."""
    left = [3]

    def kill_in_turn() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if point == AFTER_PUBLISHING:
        commit = PostgresSink.commit

        async def commit_or_die(self: PostgresSink, outcomes: Sequence[Outcomes]) -> Committed:
            if any(failure.published for one in outcomes for failure in one.failures if failure.retry_topic):
                kill_in_turn()
            return await commit(self, outcomes)

        PostgresSink.commit = commit_or_die  # type: ignore[method-assign]
    else:
        tell = KafkaSource.commit

        async def tell_or_die(self: KafkaSource, offsets: Mapping[TopicPartition, int]) -> Any:
            if any(offsets.values()):
                kill_in_turn()
            return await tell(self, offsets)

        KafkaSource.commit = tell_or_die  # type: ignore[method-assign]


if __name__ == "__main__":
    arm(sys.argv[1])
    sys.argv = ["bridge", "worker"]
    from bridge.cli import main

    main()
