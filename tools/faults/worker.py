"""A `bridge worker` that ends with the campaign, and by SIGKILL at a point of a commit if one is named."""

import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from schemas.pipeline.outcome import Candidate, Outcomes
from schemas.pipeline.record import TopicPartition
from sinks.ports import CommitResult
from sinks.postgres import copy_encoder, transaction
from sinks.postgres import sink as postgres_sink
from sinks.postgres.sink import PostgresSink
from streams.source.kafka import KafkaSource

AFTER_PUBLISHING = "after-publishing"
BETWEEN_STATEMENTS = "between-statements"
MID_COPY = "mid-copy"
BEFORE_COMMIT = "before-commit"
BEFORE_KAFKA_COMMIT = "before-kafka-commit"

_PR_SET_PDEATHSIG = 1
Kill = Callable[[], None]


def arm(point: str) -> None:
    """Put the kill at the named point; it acts in the third commit of a batch that reaches the point."""
    left = [3]

    def kill_in_turn() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    _ARMS[point](kill_in_turn)


def _after_publishing(kill: Kill) -> None:
    commit = PostgresSink.commit

    async def commit_or_die(self: PostgresSink, outcomes: Sequence[Outcomes]) -> CommitResult:
        if any(failure.published for one in outcomes for failure in one.failures if failure.retry_topic):
            kill()
        return await commit(self, outcomes)

    PostgresSink.commit = commit_or_die  # type: ignore[method-assign]


def _between_statements(kill: Kill) -> None:
    claim = transaction.claim_keys

    async def claim_and_die(*arguments: Any, **options: Any) -> list[Candidate]:
        claimed = await claim(*arguments, **options)
        kill()
        return claimed

    transaction.claim_keys = claim_and_die


def _mid_copy(kill: Kill) -> None:
    parts = copy_encoder.parts

    async def parts_and_die(rows: Sequence[Any]) -> AsyncIterator[bytes]:
        half = len(rows) // 2
        async for part in parts(rows[:half]):
            yield part
        kill()
        async for part in parts(rows[half:]):
            yield part

    copy_encoder.parts = parts_and_die


def _before_commit(kill: Kill) -> None:
    settle = postgres_sink.settle_in_transaction

    async def settle_and_die(*arguments: Any, **options: Any) -> CommitResult:
        settled = await settle(*arguments, **options)
        kill()
        return settled

    postgres_sink.settle_in_transaction = settle_and_die


def _before_kafka_commit(kill: Kill) -> None:
    tell = KafkaSource.commit

    async def tell_or_die(self: KafkaSource, offsets: Mapping[TopicPartition, int]) -> Any:
        if any(offsets.values()):
            kill()
        return await tell(self, offsets)

    KafkaSource.commit = tell_or_die  # type: ignore[method-assign]


_ARMS = {
    AFTER_PUBLISHING: _after_publishing,
    BETWEEN_STATEMENTS: _between_statements,
    MID_COPY: _mid_copy,
    BEFORE_COMMIT: _before_commit,
    BEFORE_KAFKA_COMMIT: _before_kafka_commit,
}


def die_with_owner() -> None:
    """Have the kernel kill this process when the campaign ends for any reason: nothing else would end it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    die_with_owner()
    if sys.argv[1:]:
        arm(sys.argv[1])
    sys.argv = ["bridge", "worker"]
    from bridge.cli import main

    main()
