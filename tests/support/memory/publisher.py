"""A publisher that keeps its records in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from schemas.pipeline.outcome import Failure
from sinks.kafka.publisher import FORMS, copy_of


@dataclass(frozen=True, slots=True)
class Published:
    """One record as Kafka would receive it; `due_at_ms` is the failure's, None for a dead letter."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    due_at_ms: int | None


class MemoryPublisher:
    """Keeps the published records in order.

    `partitions` is every topic's count. `fail` is called before each record and may raise SinkUnavailable. `deliver` is
    called with each kept record, so that a memory source can return it. `refuse` returns the reason why Kafka refuses a
    copy, or nothing.
    """

    def __init__(
        self,
        dlq_topic: str,
        *,
        partitions: int = 1,
        fail: Callable[[Failure], None] | None = None,
        deliver: Callable[[Published], None] | None = None,
        refuse: Callable[[Published], str] | None = None,
    ) -> None:
        self._dlq_topic = dlq_topic
        self._partitions = partitions
        self._fail = fail or (lambda _failure: None)
        self._deliver = deliver or (lambda _published: None)
        self._refuse = refuse or (lambda _published: "")
        self.published: list[Published] = []

    async def publish(self, failures: Sequence[Failure]) -> None:
        for failure in failures:
            if not failure.due_copy:
                continue
            self._fail(failure)
            for form in FORMS:
                failure.left_out = form
                sent = self._sent(failure)
                failure.refused = self._refuse(sent)
                if not failure.refused:
                    self.published.append(sent)
                    self._deliver(sent)
                    failure.published = True
                    break

    def _sent(self, failure: Failure) -> Published:
        topic = failure.retry_topic or self._dlq_topic
        copy = copy_of(failure, topic, failure.attempt.provenance.partition % self._partitions)
        return Published(
            topic, failure.attempt.provenance.partition % self._partitions, copy.key, copy.value, tuple(copy.headers),
            failure.due_at_ms,
        )  # fmt: skip
