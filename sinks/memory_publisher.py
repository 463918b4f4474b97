"""A publisher that keeps in memory what it is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from schemas.outcome import Failure
from sinks.kafka import copy_headers


@dataclass(frozen=True, slots=True)
class Published:
    """One record as Kafka would have got it; `due_at_ms` is the failure's, None for a dead letter."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    due_at_ms: int | None


class MemoryPublisher:
    """Keeps what was published, in order.

    `partitions` is every topic's count. `fail` is called before each record and may raise SinkUnavailable; `deliver`
    is called with each record that is kept, so that a memory source can bring it back.
    """

    def __init__(
        self,
        dlq_topic: str,
        *,
        partitions: int = 1,
        fail: Callable[[Failure], None] | None = None,
        deliver: Callable[[Published], None] | None = None,
    ) -> None:
        self._dlq_topic = dlq_topic
        self._partitions = partitions
        self._fail = fail or (lambda _failure: None)
        self._deliver = deliver or (lambda _published: None)
        self.published: list[Published] = []

    async def publish(self, failures: Sequence[Failure]) -> None:
        for failure in failures:
            if failure.published or not (failure.retry_topic or failure.has_dead_letter):
                continue
            self._fail(failure)
            record = failure.record
            nothing = record.key is None and record.value is None
            sent = Published(
                failure.retry_topic or self._dlq_topic,
                failure.provenance.partition % self._partitions,
                record.key,
                b"" if nothing else record.value,
                tuple(copy_headers(failure)),
                failure.due_at_ms,
            )
            self.published.append(sent)
            self._deliver(sent)
            failure.published = True
