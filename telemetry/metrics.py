"""Every metric of the product, defined once. Tests compare the documentation and the alert rules with this file."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Final, NamedTuple, TypeAlias

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics import MetricWrapperBase

from schemas.native_module import ORDINARY, LeftToPython, reads
from schemas.pipeline.record import TopicPartition
from schemas.pipeline.registry import Script
from schemas.pipeline.sender import Sender
from schemas.reasons import DroppedReason
from telemetry.metric_kinds import MOST_NAMED, OTHERS, UNKNOWN, BatchHistogram, FirstComers, NetworkCollector
from telemetry.shared_values import merged_by, remove_series, share_values

share_values()

# No query uses the time at which a counter was created, and it doubles the number of series.
disable_created_metrics()  # type: ignore[no-untyped-call]  # without a return annotation


Series: TypeAlias = tuple[Gauge, tuple[str, ...]]
"""A gauge, and the values of its labels."""
Values: TypeAlias = dict[Series, float]


class Replaced:
    """Gauges whose series are all replaced at each update: a series that gets no new value is removed."""

    def __init__(self) -> None:
        self._shown: set[Series] = set()

    def show(self, values: Mapping[Series, float]) -> None:
        """Set these series of the gauges, and remove the series that the last call set and this one does not."""
        for gauge, labels in self._shown - values.keys():
            remove_series(gauge, labels)
        for (gauge, labels), value in values.items():
            (gauge.labels(*labels) if labels else gauge).set(value)
        self._shown = {one for one in values if one[1]}


def product_version() -> str:
    """Return the installed version, or `unknown` if the package is not installed."""
    try:
        return version("ghostlink-bridge")
    except PackageNotFoundError:
        return "unknown"


REGISTRY = CollectorRegistry(auto_describe=True)
# The process's memory, processor time, open files and start time, and its network traffic.
ProcessCollector(registry=REGISTRY)
NETWORK = NetworkCollector()
REGISTRY.register(NETWORK)

# Each metric is in this registry, and a partition's series have the same two labels.
counter = partial(Counter, registry=REGISTRY)
histogram = partial(Histogram, registry=REGISTRY)
# How the gauges of several processes become one: by the sum, unless another way is named. The processes read the same
# state from Postgres, so the latest reading counts.
gauge = partial(Gauge, registry=REGISTRY, multiprocess_mode="livesum")
highest_gauge = partial(Gauge, registry=REGISTRY, multiprocess_mode="livemax")
lowest_gauge = partial(Gauge, registry=REGISTRY, multiprocess_mode="livemin")
latest_gauge = partial(Gauge, registry=REGISTRY, multiprocess_mode="livemostrecent")
partition_gauge = partial(latest_gauge, labelnames=["topic", "partition"])
# A flag of a partition is set only when it changes, so the process that sets it last may not be the partition's owner.
partition_flag = partial(highest_gauge, labelnames=["topic", "partition"])

BUILD = Info(
    "bridge_build",
    "1, with the version of the running process, and whether ordinary events are read by the `native` module or by `python`.",
    registry=REGISTRY,
)


def report_build(read_by: str) -> None:
    """Report the version of the process, and which code reads ordinary events."""
    BUILD.info({"version": product_version(), "reads": read_by})


report_build(reads(wanted=True))

RESTARTS = counter(
    "bridge_process_restarts", "Processes of a command with several processes that ended, and were started again."
)
REPLAY: Final = "replay"
"""The label `sender` of replays, whose failures must not cause alerts that page."""
EVENTS = counter("bridge_events", "Attempts, by outcome and sender class.", ["outcome", "sender"])
SITE_EVENTS = counter(
    "bridge_site_events",
    f"Attempts to process an event, by site and outcome; sites after the first {MOST_NAMED} share the label `{OTHERS}`.",
    ["site", "outcome"],
)
FRESHNESS = BatchHistogram(
    "bridge_event_freshness_seconds",
    "Time from a raw record's timestamp to the commit of its first attempt, in seconds; without replays.",
    (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600),
    REGISTRY,
)
DROPPED = counter("bridge_dropped_events", "Dropped events, by reason and sender class.", ["reason", "sender"])
DEAD_LETTERS = counter("bridge_dead_letters", "Dropped events other than duplicates.", ["reason", "sender"])
RETRIES = counter("bridge_retries", "Retries that were scheduled, by error class.", ["error_class"])
DEDUP_HITS = counter("bridge_dedup_hint_hits", "Duplicates detected in memory, without a query.")
DEDUP_HINTS = gauge("bridge_dedup_hints", "Dedup keys that the lane keeps in memory.", ["lane"])
SWEPT = counter("bridge_swept_retries", "Retry records that were lost and published again.")
STALE = counter("bridge_stale_records", "Records of attempts that the ledger does not expect.")
UNPROVEN = counter(
    "bridge_unproven_records",
    "Raw records with gateway headers that lack a valid signature: `legacy` headers are trusted until the end of the "
    "migration, `unproven` headers are ignored, and records of an `unknown_key` are retried.",
    ["headers"],
)
READ = counter(
    "bridge_read_records",
    "Records of the raw topic by the reader: `ordinary` ones are read by the `native` module, all others by `python`, with the "
    "reason: the part that is not ordinary, `panic` for a defect of the module, `no_module`, or `turned_off` by the setting.",
    ["reader", "reason"],
)
SKIPPED = counter("bridge_skipped_offsets", "Offsets without a record, such as transaction markers.")
CLAMPED = counter("bridge_clamped_record_times", "Producers' record timestamps outside the limits.")
LOST = counter("bridge_lost_records", "Records deleted by Kafka before they were read.", ["topic", "partition"])
BATCHES_REFUSED = counter("bridge_batches_refused", "Batches that did not begin at the stored offset.")
BATCH_RECORDS = histogram(
    "bridge_batch_records", "Number of records in a batch.", buckets=(1, 10, 50, 100, 500, 1000, 2500, 5000, 10000)
)
SETTLE_SECONDS = histogram(
    "bridge_settle_seconds",
    "Seconds of each phase of a batch: judge events, check offsets and circuit breaker, publish, commit.",
    ["phase"],
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
LANES = gauge("bridge_lanes", "Running lanes.")
BATCHES_IN_FLIGHT = gauge("bridge_batches_in_flight", "Batches that are being processed.")
LAG_RECORDS = partition_gauge("bridge_lag_records", "Records that workers have not committed yet.")
LAG_SECONDS = partition_gauge(
    "bridge_lag_seconds",
    "Age of the oldest uncommitted record, in seconds; 0 if there is none. Only for partitions of the raw topic.",
)
SETTLED_OFFSET = partition_gauge("bridge_settled_offset", "Offset after the last committed record.")
OPEN_TRANSACTION_SECONDS = partition_gauge(
    "bridge_open_transaction_seconds",
    "Time for which an open transaction of a producer has kept later records from being read, in seconds; 0 if none does.",
)
EVENT_LOOP_LAG = highest_gauge(
    "bridge_event_loop_lag_seconds", "Delay of the event loop, in seconds: how late a timer is called."
)
PAUSED = gauge("bridge_paused_partitions", "Partitions that are not read, by reason.", ["reason"])
BRAKED = gauge("bridge_braked_partitions", "Partitions paused by the circuit breaker.", ["lane"])
PAUSED_BY_HAND = partition_flag(
    "bridge_partitions_paused_by_hand", "1 while the partition is paused by an operator with `bridge pause`."
)
UNREADABLE = partition_flag(
    "bridge_unreadable_partitions", "1 while the partition is paused because its next record can't be read."
)
FOREIGN = partition_flag(
    "bridge_foreign_partitions", "1 while the partition is paused because its topic was recreated or truncated."
)
ASSIGNED = gauge("bridge_assigned_partitions", "Partitions that are assigned to this worker.")
REBALANCES = counter("bridge_rebalances", "Times that partitions were assigned to this worker.")
CONNECTIONS_OPENED = counter(
    "bridge_database_connections_opened", "Connections to Postgres, by their purpose.", ["role"]
)
CONNECTIONS_FAILED = counter(
    "bridge_database_connections_failed", "Refused connections to Postgres, by purpose.", ["role"]
)
REGISTRY_SCRIPTS = highest_gauge("bridge_registry_scripts", "Scripts in the process's registry copy.")
REGISTRY_READ = lowest_gauge(
    "bridge_registry_read_timestamp_seconds",
    "When the process last read the registry from Postgres, or the API its tokens, in seconds since the epoch.",
)
VERDICTS_UNREADABLE = counter("bridge_verdicts_unreadable", "Records of the gate's topic that could not be read.")
GATEWAY_REQUESTS = counter("bridge_gateway_requests", "Requests that the gateway answered.", ["route", "status"])
GATEWAY_ERRORS = counter(
    "bridge_gateway_errors",
    "Requests that the gateway answered with 5xx, other than those for scripts that are paused.",
)
GATEWAY_SERVER_REQUESTS = counter(
    "bridge_gateway_server_requests", "Answered requests with a known API key.", ["status"]
)
GATEWAY_SERVER_CROWDED = counter(
    "bridge_gateway_server_crowded",
    "Answers 429 to requests with a known API key because too many of their sender were in flight while the gateway was late.",
)
_ANSWER_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
GATEWAY_SECONDS = histogram(
    "bridge_gateway_request_seconds",
    "Time from a request's headers to the beginning of its response, without the waits for its body, in seconds.",
    ["route"],
    buckets=_ANSWER_BUCKETS,
)
GATEWAY_SERVER_SECONDS = histogram(
    "bridge_gateway_server_request_seconds",
    "The same, of requests with an API key that send events, without the waits that their sender causes itself.",
    buckets=_ANSWER_BUCKETS,
)
GATEWAY_EVENTS = counter("bridge_gateway_events", "Events in requests, by the gateway's result.", ["outcome"])
GATEWAY_REJECTED = counter(
    "bridge_gateway_rejected",
    f"Requests that were refused, by reason, site and script. Scripts after the first {MOST_NAMED} share the label `{OTHERS}`, "
    f"and scripts that are not registered the label `{UNKNOWN}`.",
    ["error_code", "site", "script"],
)
GATEWAY_REJECTED_EVENTS = counter(
    "bridge_gateway_rejected_events",
    "Events that were refused: those of refused requests whose bodies were read, and single events of accepted requests.",
    ["error_code", "site", "script"],
)
GATEWAY_REFUSED_EVENTS = counter(
    "bridge_gateway_refused_events",
    "Visitors' events that the stream will refuse: `let_through` to Kafka within the limit, or `rejected` over the limit. "
    "`with_request` are the other events of a request that was refused for them: valid, or not checked. Sites and scripts "
    f"after the first {MOST_NAMED} share the label `{OTHERS}`.",
    ["site", "script", "outcome"],
)
GATEWAY_CONNECTIONS = gauge("bridge_gateway_connections", "Open connections to the gateway.")
HTTP_IDLE_CLOSED = counter(
    "bridge_http_idle_connections_closed",
    "Connections that waited for their clients and were closed so that new connections could be accepted.",
)
GATEWAY_REQUESTS_IN_FLIGHT = gauge("bridge_gateway_requests_in_flight", "Requests being answered.")
GATEWAY_BYTES_IN_FLIGHT = gauge(
    "bridge_gateway_bytes_in_flight",
    "Bytes of request bodies in memory, and of records that Kafka has not acknowledged.",
    ["what"],
)
GATEWAY_BYTES_BOUND = gauge(
    "bridge_gateway_bytes_in_flight_bound",
    "Limit for each label of bridge_gateway_bytes_in_flight; above it, requests are refused.",
)

API_REQUESTS = counter("bridge_api_requests", "Requests that the operators' API answered.", ["route", "status"])
API_SECONDS = histogram(
    "bridge_api_request_seconds",
    "Time from a request to the operators' API to the end of its response, in seconds.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
API_CONNECTIONS = gauge("bridge_api_connections", "Open connections to the operators' API.")
API_REPLAYS = gauge("bridge_api_replays_running", "Replays that this API process runs now.")
API_REPLAYS_WAITING = gauge(
    "bridge_api_replays_waiting",
    "Replays that were stopped in favour of other organisations' replays, and wait for their turn.",
)
GATEWAY_RATE_LIMIT_USED = highest_gauge(
    "bridge_gateway_rate_limit_used_ratio",
    "Highest use of a rate limit by one script or address, or by all visitors; above 1, requests were refused.",
    ["what"],
)

RETRIES_WAITING = latest_gauge(
    "bridge_retries_waiting", "Events that wait for a retry, by retry tier and sender class.", ["tier", "sender"]
)
RETRIES_OVERDUE = latest_gauge("bridge_retries_overdue", "Events whose retry is overdue.")
RETRY_OVERDUE_SECONDS = latest_gauge("bridge_retry_overdue_seconds", "Seconds since the earliest due time of a retry.")
OLDEST_RETRY_SECONDS = latest_gauge(
    "bridge_oldest_waiting_retry_age_seconds",
    "Time since the first failure of the oldest event that waits for a retry, in seconds.",
)
DEAD_LETTERS_OPEN = latest_gauge("bridge_dead_letters_open", "Open dead letters, by reason.", ["reason"])
OLDEST_DEAD_LETTER_SECONDS = latest_gauge(
    "bridge_oldest_open_dead_letter_age_seconds", "Time since the drop of the oldest open dead letter, in seconds."
)
LOST_UNACKNOWLEDGED = latest_gauge(
    "bridge_unacknowledged_lost_records", "Lost records that no operator has acknowledged."
)
UNBALANCED = latest_gauge("bridge_unbalanced_partitions", "Partitions whose totals differ from the records read.")
BRAKE_ENGAGED = latest_gauge("bridge_brake_engaged", "1 while the circuit breaker is open.")
GATE_FAILING = latest_gauge("bridge_gate_failing", "1 while the gate's verdict over all sites is fail.")
GATE_FAILING_SITES = latest_gauge("bridge_gate_failing_sites", "Sites whose own verdict is fail.")
REPLAYS = latest_gauge("bridge_replays", "Replays that have not ended, by state.", ["state"])
REPLAY_ITEMS = latest_gauge(
    "bridge_replay_items", "Dead letters of running replays: `planned`, and `sent` so far.", ["what"]
)
RUNS_RECENT = latest_gauge(
    "bridge_recent_runs",
    "Runs of commands (jobs) that ended within the last hour, by job and result, without those requested over the API.",
    ["script", "result"],
)
RUN_LAST_SUCCESS = latest_gauge(
    "bridge_run_last_success_timestamp_seconds",
    "When the job last succeeded, without runs requested over the API.",
    ["script"],
)
PARTITIONS_END = latest_gauge(
    "bridge_event_partitions_end_timestamp_seconds", "End of the last monthly partition for events."
)
CONNECTIONS_LEFT = latest_gauge("bridge_database_connections_left", "Connections still available.")
REMOVED_ROWS = latest_gauge("bridge_removed_rows", "Rows that retention has removed, by kind.", ["kind"])
LAST_REMOVAL = latest_gauge(
    "bridge_last_removal_timestamp_seconds", "When retention last removed rows, by kind.", ["kind"]
)
DATABASE_BYTES = latest_gauge("bridge_database_size_bytes", "Size of the database.")
BACKUP_NEWEST = latest_gauge(
    "bridge_backup_newest_timestamp_seconds",
    "Time whose state the newest backup has; if all are gone, that of the first backup; 0 if none was ever made.",
)
BACKUP_VERIFIED = latest_gauge(
    "bridge_backup_verified_timestamp_seconds",
    "Time whose state the newest verified backup has; while none that is there is verified, that of the first backup; 0 if none was ever made.",
)
LOG_ENDS_READ = lowest_gauge(
    "bridge_log_ends_read_timestamp_seconds",
    "Time at which the end offsets were last read from Kafka, in seconds since the epoch; the lag metrics are of that time.",
)
BACKLOG_READ = latest_gauge(
    "bridge_backlog_read_timestamp_seconds",
    "When retries, dead letters, runs, gate and circuit breaker were last read from Postgres.",
)

SITES = FirstComers()
_scripts = FirstComers()


class Definition(NamedTuple):
    """A documented metric, with its name in a query.

    `merged` is how the series of several processes of one command become one.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    documentation: str
    merged: str


def defined() -> Iterator[Definition]:
    """Yield every metric of this file, in the order of definition."""
    suffixes = {Counter: "_total", Info: "_info"}
    for one in globals().values():
        if isinstance(one, BatchHistogram):
            yield Definition(one.name, "histogram", (), one.documentation, "sum")
        elif isinstance(one, MetricWrapperBase):
            kind = type(one)
            (family,) = one.describe()
            labels = ("version", "reads") if kind is Info else one._labelnames  # noqa: SLF001  # no public method returns them
            name = family.name + suffixes.get(kind, "")
            merged = "same" if kind is Info else merged_by(one)
            yield Definition(name, kind.__name__.lower(), labels, family.documentation, merged)


def count_read(reason: str, records: int) -> None:
    """Count records of the raw topic as read by Python for the reason, or as `ordinary`, by the native module."""
    READ.labels("native" if reason == ORDINARY else "python", reason).inc(records)


# `increase` does not see the first count of a series that begins with this count, so series with known labels begin at 0.
for _sender in (*(one.value for one in Sender), REPLAY):
    for _reason in DroppedReason:
        DROPPED.labels(_reason.value, _sender)
        if _reason is not DroppedReason.DUPLICATE_EVENT_ID:
            DEAD_LETTERS.labels(_reason.value, _sender)
    for _outcome in ("normalized", "retried", "dropped"):
        EVENTS.labels(_outcome, _sender)
for _headers in ("legacy", "unproven", "unknown_key"):
    UNPROVEN.labels(_headers)
for _why in (ORDINARY, *LeftToPython):
    count_read(_why, 0)


def phase(name: str) -> AbstractContextManager[object]:
    """Measure the time of one phase of a batch's processing."""
    return SETTLE_SECONDS.labels(name).time()


def labels_of(script: Script | None) -> tuple[str, str]:
    """Return the values of the labels `site` and `script` for a refused request; None is an unregistered script."""
    if script is None:
        return UNKNOWN, UNKNOWN
    label = _scripts.label(script.script_id)
    return (OTHERS if label == OTHERS else str(script.site_id)), label


def forget_lane(lane: str, sources: Iterable[TopicPartition]) -> None:
    """Remove the series of a lane (a worker's committing task) that has ended, and of the partitions that it owned."""
    for gauge in (BRAKED, DEDUP_HINTS):
        remove_series(gauge, [lane])
    for source in sources:
        for metric in (UNREADABLE, PAUSED_BY_HAND, FOREIGN, LOST):
            remove_series(metric, [source.in_kafka.topic, str(source.partition)])
