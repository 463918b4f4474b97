"""Every metric of the product, defined once; docs and alert rules are checked against this file."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.outcome import Outcomes
from sinks.sink import Committed

REGISTRY = CollectorRegistry(auto_describe=True)

EVENTS = Counter("bridge_events", "Attempts by how they ended.", ["outcome"], registry=REGISTRY)
DROPPED = Counter("bridge_dropped_events", "Events dropped for good, by reason.", ["reason"], registry=REGISTRY)
DEAD_LETTERS = Counter("bridge_dead_letters", "Dead letters that the ledger bears out.", ["reason"], registry=REGISTRY)
RETRIES = Counter("bridge_retries", "Retries scheduled, by class of error.", ["error_class"], registry=REGISTRY)
SWEPT = Counter("bridge_swept_retries", "Retry copies that were gone and published again.", registry=REGISTRY)
STALE = Counter("bridge_stale_records", "Records whose token the ledger no longer awaits.", registry=REGISTRY)
SKIPPED = Counter(
    "bridge_skipped_offsets", "Offsets that hold no record, such as transaction markers.", registry=REGISTRY
)
CLAMPED = Counter("bridge_clamped_record_times", "Producers' record times that lay out of bounds.", registry=REGISTRY)
LOST = Counter(
    "bridge_lost_records", "Records that retention deleted unread.", ["topic", "partition"], registry=REGISTRY
)
BATCHES_REFUSED = Counter(
    "bridge_batches_refused", "Batches that did not continue the stored offset.", registry=REGISTRY
)
BATCH_RECORDS = Histogram(
    "bridge_batch_records",
    "Records in one settlement.",
    buckets=(1, 10, 50, 100, 500, 1000, 2500, 5000, 10000),
    registry=REGISTRY,
)
SETTLE_SECONDS = Histogram(
    "bridge_settle_seconds",
    "From judged outcomes to their commit, in seconds.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
    registry=REGISTRY,
)
PAUSED = Gauge("bridge_paused_partitions", "Partitions held because a service is away.", ["lane"], registry=REGISTRY)
BRAKED = Gauge(
    "bridge_braked_partitions", "Partitions held by the brake on dead-lettering.", ["lane"], registry=REGISTRY
)
UNREADABLE = Gauge(
    "bridge_unreadable_partitions",
    "1 for a partition held because its next record can't be read.",
    ["topic", "partition"],
    registry=REGISTRY,
)
FOREIGN = Gauge(
    "bridge_foreign_partitions",
    "1 for a partition held because its log is not the one that was read.",
    ["topic", "partition"],
    registry=REGISTRY,
)
ASSIGNED = Gauge("bridge_assigned_partitions", "Partitions that this worker owns.", registry=REGISTRY)
REBALANCES = Counter("bridge_rebalances", "Assignments of partitions to this worker.", registry=REGISTRY)
REGISTRY_SCRIPTS = Gauge("bridge_registry_scripts", "Scripts in the registry's copy in memory.", registry=REGISTRY)

GATEWAY_REQUESTS = Counter(
    "bridge_gateway_requests", "Requests that the gateway answered.", ["route", "status"], registry=REGISTRY
)
GATEWAY_SECONDS = Histogram(
    "bridge_gateway_request_seconds",
    "From a request's headers to its answer, in seconds.",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
GATEWAY_EVENTS = Counter(
    "bridge_gateway_events", "Events by what the gateway answered for them.", ["outcome"], registry=REGISTRY
)
GATEWAY_REJECTED = Counter(
    "bridge_gateway_rejected", "Requests refused, by reason and script.", ["error_code", "script"], registry=REGISTRY
)
GATEWAY_CONNECTIONS = Gauge(
    "bridge_gateway_connections", "Open connections.", multiprocess_mode="livesum", registry=REGISTRY
)
GATEWAY_REQUESTS_IN_FLIGHT = Gauge(
    "bridge_gateway_requests_in_flight", "Requests in hand.", multiprocess_mode="livesum", registry=REGISTRY
)
GATEWAY_BYTES_IN_FLIGHT = Gauge(
    "bridge_gateway_bytes_in_flight",
    "Bytes of bodies in hand, and of records that Kafka has not acknowledged.",
    ["what"],
    multiprocess_mode="livesum",
    registry=REGISTRY,
)
GATEWAY_BYTES_BOUND = Gauge(
    "bridge_gateway_bytes_in_flight_bound",
    "What each of bridge_gateway_bytes_in_flight may reach before requests are refused.",
    multiprocess_mode="livesum",
    registry=REGISTRY,
)


def settled(committed: Committed, outcomes: Sequence[Outcomes], seconds: float) -> None:
    """Counts one committed settlement."""
    tally = committed.tally
    EVENTS.labels("normalized").inc(tally.normalized)
    EVENTS.labels("retried").inc(tally.retried)
    EVENTS.labels("dropped").inc(tally.dropped)
    STALE.inc(tally.stale)
    SKIPPED.inc(tally.skipped)
    CLAMPED.inc(sum(one.clamped for one in outcomes))
    BATCH_RECORDS.observe(tally.processed)
    SETTLE_SECONDS.observe(seconds)
    for failure in committed.failures:
        if failure.dropped_reason is None:
            RETRIES.labels(failure.error_class.value).inc()
            continue
        DROPPED.labels(failure.dropped_reason.value).inc()
        if failure.has_dead_letter:
            DEAD_LETTERS.labels(failure.dropped_reason.value).inc()
