"""Factories of raw events, records, batches and contexts."""

import json
from collections.abc import Container, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from schemas.pipeline.breaker import BreakerLimits
from schemas.pipeline.ledger import LedgerState
from schemas.pipeline.outcome import Outcomes
from schemas.pipeline.record import Batch, Provenance, RawRecord, TopicPartition
from schemas.pipeline.registry import Script
from schemas.reasons import ErrorClass
from streams.pipeline.normalize import Bounds
from streams.pipeline.processor import Context, processing
from streams.pipeline.trust import GatewayTrust
from streams.rules.retry_policy import RetryPolicy, Tier
from support.events.sealed import TRUST
from support.memory.source import MemoryRecord

RAW = "t.raw"
DLQ = "t.dlq"
RETRY_1, RETRY_2 = "t.retry.1s", "t.retry.2s"
DELAYS_MS = {RETRY_1: 1000, RETRY_2: 2000}
SOURCE = TopicPartition(RAW, 0)
NOW_MS = 1_760_000_000_000
BOUNDS = Bounds(timedelta(days=7), timedelta(hours=1))
REGISTRY = {
    "shop": Script("shop", 1, 10, enabled=True),
    "blog": Script("blog", 2, None, enabled=True),
    "off": Script("off", 1, 10, enabled=False),
}
BRAKE_LIMITS = BreakerLimits(Decimal(50), 1000, 1000, 60.0)
POLICY = RetryPolicy(tuple(Tier(topic, delay) for topic, delay in DELAYS_MS.items()), {}, 2, 0.0)


def document(**changed: Any) -> dict[str, Any]:
    """Make a valid event of the script `shop`; a field changed to `...` is left out."""
    sound = {
        "event_id": "e-1", "site_id": 1, "script_id": "shop", "event_type": "click", "occurred_at": NOW_MS,
    }  # fmt: skip
    return {name: value for name, value in (sound | changed).items() if value is not ...}


def body(**changed: Any) -> bytes:
    """Make the same event as JSON."""
    return json.dumps(document(**changed)).encode()


def record(
    offset: int = 0,
    value: bytes | None = None,
    *,
    source: TopicPartition = SOURCE,
    headers: Mapping[str, str] | Sequence[tuple[str, bytes | None]] = (),
    timestamp: int = NOW_MS,
    timestamp_type: int = 1,
    key: bytes | None = b"k",
    **changed: Any,
) -> MemoryRecord:
    """Make a record of a valid event with the changed fields, or of the given value."""
    pairs = [(name, text.encode()) for name, text in headers.items()] if isinstance(headers, Mapping) else headers
    text = body(**changed) if value is None else value
    return MemoryRecord(*source, offset, text, key, timestamp, timestamp_type, tuple(pairs))


def batch(*records: RawRecord, prev: int | None = None, following: int | None = None) -> Batch:
    """Make one batch of the records, by default without a hole."""
    first, last = records[0], records[-1]
    return Batch(
        TopicPartition(first.topic, first.partition),
        first.offset if prev is None else prev,
        last.offset + 1 if following is None else following,
        records,
    )


def context(
    *,
    now_ms: int = NOW_MS,
    ledger: Mapping[Provenance, LedgerState] | None = None,
    known: Container[bytes] = frozenset(),
    registry: Mapping[str, Script] = REGISTRY,
    policy: RetryPolicy = POLICY,
    trust: GatewayTrust = TRUST,
) -> Context:
    """Make the context in which a batch is processed at `now_ms`."""
    return Context(now_ms, registry, known, ledger or {}, BOUNDS, policy, RAW, trust)


def process(batch: Batch, context: Context) -> Outcomes:
    """Process the batch in one slice and return the outcome of every record."""
    outcomes = Outcomes(batch)
    for _ in processing(outcomes, context, lambda: 0.0, 1.0):
        pass
    return outcomes


def judged(*records: RawRecord, **given: Any) -> Outcomes:
    """Process a batch of these records and return the outcomes."""
    return process(batch(*records), context(**given))


def failed_as(outcomes: Outcomes) -> list[ErrorClass]:
    """List the error classes of the failures, in order."""
    return [failure.error_class for failure in outcomes.failures]
