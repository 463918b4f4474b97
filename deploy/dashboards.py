"""The Grafana dashboards, generated from the Prometheus queries of their panels."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

DIRECTORY: Final = Path(__file__).parent / "grafana" / "dashboards"
WIDTH: Final = 24
HEIGHT: Final = 8
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
GREEN, YELLOW, RED = "green", "yellow", "red"
RATE: Final = "$__rate_interval"
DUPLICATES: Final = f'sum(rate(bridge_dropped_events_total{{reason="duplicate_event_id"}}[{RATE}]))'


class Panel(NamedTuple):
    """One panel: `queries` are pairs of legend and expression, `limits` the thresholds of yellow and red.

    `falling` is for figures where a lower value is worse; `columns` is its width, of 24.
    """

    title: str
    description: str
    unit: str
    queries: Sequence[tuple[str, str]]
    limits: tuple[float, float] | None = None
    falling: bool = False
    kind: str = "timeseries"
    columns: int = 8


def quantiles(metric: str, by: str = "") -> list[tuple[str, str]]:
    """Return the three usual quantiles of a histogram."""
    label = f" {{{{{by}}}}}" if by else ""
    grouped = f"le, {by}" if by else "le"
    return [
        (f"p{share:g}{label}", f"histogram_quantile({share / 100}, sum by ({grouped}) (rate({metric}_bucket[{RATE}])))")
        for share in (50, 95, 99)
    ]


REQUESTS: Final = Panel("Requests", "Of the gateway, a second, by status", "ops", [
    ("{{status}}", f"sum by (status) (rate(bridge_gateway_requests_total[{RATE}])) > 0"),
], (500, 1000))  # fmt: skip
RESPONSE_TIME: Final = Panel(
    "Response time",
    "Of the gateway, without its clients' own time",
    "s",
    quantiles("bridge_gateway_request_seconds"),
    (1, 3),
)

OVERVIEW: Final = [
    Panel("Verdict", "0 is good: gate, circuit breaker, balance, loss", "none", [
        ("gate fails", "max(bridge_gate_failing)"),
        ("circuit breaker is open", "max(bridge_brake_engaged)"),
        ("partitions that don't balance", "max(bridge_unbalanced_partitions)"),
        ("lost, not acknowledged", "max(bridge_unacknowledged_lost_records)"),
    ], (1, 1), kind="stat", columns=12),
    Panel("Success", "Rows among the decided events of servers and Kafka producers: rows, and drops other than duplicates", "percentunit", [
        ("success", "bridge:success:ratio5m"),
    ], (0.85, 0.80), falling=True, kind="stat", columns=6),
    Panel("Lag", "How long the oldest uncommitted record has waited", "s", [
        ("oldest", "max(bridge_lag_seconds)"),
    ], (60, 300), kind="stat", columns=6),
    Panel("Events by outcome", "Attempts a second, by outcome", "ops", [
        ("{{outcome}}", f"sum by (outcome) (rate(bridge_events_total[{RATE}]))"),
    ]),
    Panel("Freshness", "From a record's time in Kafka to the commit of its outcome", "s",
          quantiles("bridge_event_freshness_seconds"), (30, 60)),
    Panel("Failures", "Drops other than duplicates, among the attempts of the same senders", "percentunit", [
        ("servers and Kafka producers", "bridge:failures:ratio5m"),
        ("visitors", "bridge:visitors_failures:ratio10m"),
    ], (0.01, 0.03)),
    Panel("Drops by reason", "Events dropped a second", "ops", [
        ("{{reason}}", f"sum by (reason) (rate(bridge_dropped_events_total[{RATE}]))"),
    ]),
    Panel("Lag in seconds", "By partition", "s", [
        ("{{topic}}:{{partition}}", "max by (topic, partition) (bridge_lag_seconds)"),
    ], (60, 300)),
    Panel("Lag in records", "By topic; retry topics hold what is not due yet", "short", [
        ("{{topic}}", "sum by (topic) (max by (topic, partition) (bridge_lag_records))"),
    ]),
    Panel("Retries waiting", "Events that wait, by their tier and the sender's class", "short", [
        ("{{tier}} {{sender}}", "max by (tier, sender) (bridge_retries_waiting)"),
    ], (2000, 5000)),
    Panel("Retries past their time", "0 while workers keep up", "short", [
        ("overdue", "max(bridge_retries_overdue)"),
    ], (10, 50)),
    Panel("Retries scheduled", "A second, by the error that may heal", "ops", [
        ("{{error_class}}", f"sum by (error_class) (rate(bridge_retries_total[{RATE}]))"),
    ]),
    Panel("Dead letters", "Written a second, by reason", "ops", [
        ("{{reason}}", f"sum by (reason) (rate(bridge_dead_letters_total[{RATE}]))"),
    ]),
    Panel("Open dead letters", "Neither replayed nor discarded", "short", [
        ("{{reason}}", "max by (reason) (bridge_dead_letters_open)"),
    ], (10, 50)),
    Panel("Oldest", "Age of the oldest open dead letter and the oldest waiting retry", "s", [
        ("dead letter", "max(bridge_oldest_open_dead_letter_age_seconds)"),
        ("retry", "max(bridge_oldest_waiting_retry_age_seconds)"),
    ], (86400, 604800)),
    Panel("Partitions held", "By why they are not read", "short", [
        ("{{reason}}", 'sum by (reason) (bridge_paused_partitions{reason!~"retry_due|claim"})'),
    ], (1, 1)),
    Panel("Busiest sites", "Attempts a second of the ten busiest", "ops", [
        ("site {{site}}", f"topk(10, sum by (site) (rate(bridge_site_events_total[{RATE}])))"),
    ]),
    Panel("Runs within the hour", "Of commands, by result", "short", [
        ("{{script}} {{result}}", "max by (script, result) (bridge_recent_runs)"),
    ]),
    Panel("Replays", "That are not done, by state; of those that run, dead letters planned and sent", "short", [
        ("{{state}}", "max by (state) (bridge_replays)"),
        ("{{what}}", "max by (what) (bridge_replay_items)"),
    ]),
    REQUESTS,
    RESPONSE_TIME,
]  # fmt: skip

GATEWAY: Final = [
    Panel("Gateways", "That answer Prometheus", "none", [
        ("up", 'sum(up{job="bridge-gateway"}) or vector(0)'),
    ], (1, 0), falling=True, kind="stat", columns=6),
    Panel("Errors of its own", "Answers 5xx among all", "percentunit", [
        ("errors", "bridge:gateway_errors:ratio5m"),
    ], (0.01, 0.05), kind="stat", columns=6),
    Panel("Events taken", "A second; Kafka has acknowledged them", "ops", [
        ("accepted", f'sum(rate(bridge_gateway_events_total{{outcome="accepted"}}[{RATE}]))'),
    ], kind="stat", columns=6),
    Panel("Rate limit used", "Of the script or address that comes nearest to its own", "percentunit", [
        ("{{what}}", "max by (what) (bridge_gateway_rate_limit_used_ratio)"),
    ], (0.75, 0.9), kind="stat", columns=6),
    REQUESTS,
    RESPONSE_TIME,
    Panel("Slow routes", "95 % of the requests took less", "s", [
        ("{{route}}", ("histogram_quantile(0.95, sum by (le, route)"
         f" (rate(bridge_gateway_request_seconds_bucket[{RATE}])))")),
    ], (1, 3)),
    Panel("Refused, by reason", "Requests a second", "ops", [
        ("{{error_code}}", f"sum by (error_code) (rate(bridge_gateway_rejected_total[{RATE}]))"),
    ]),
    Panel("Refused, by script", "Requests a second of the ten that are refused most", "ops", [
        ("{{script}}", f"topk(10, sum by (script) (rate(bridge_gateway_rejected_total[{RATE}])))"),
    ]),
    Panel("Turned away", "Within 5 minutes: over the rate limit, and a wrong key, token or origin", "short", [
        ("429", 'sum(increase(bridge_gateway_requests_total{status="429"}[5m])) or vector(0)'),
        ("401 and 403", 'sum(increase(bridge_gateway_requests_total{status=~"401|403"}[5m])) or vector(0)'),
    ], (20, 50)),
    Panel("Bytes in flight", "Share of the limit above which requests are refused", "percentunit", [
        ("{{instance}} {{what}}", ("max by (instance, what) (bridge_gateway_bytes_in_flight"
         " / on (instance) group_left () bridge_gateway_bytes_in_flight_bound)")),
    ], (0.2, 0.35)),
    Panel("Connections", "Open, and requests in flight", "short", [
        ("connections", "sum(bridge_gateway_connections)"),
        ("requests", "sum(bridge_gateway_requests_in_flight)"),
    ]),
    Panel("Scripts it knows", "In each gateway's copy of the registry", "short", [
        ("{{instance}}", 'bridge_registry_scripts{job="bridge-gateway"}'),
    ]),
]  # fmt: skip

INFRASTRUCTURE: Final = [
    Panel("Workers", "That answer Prometheus", "none", [
        ("up", 'sum(up{job="bridge-worker"}) or vector(0)'),
    ], (1, 0), falling=True, kind="stat", columns=6),
    Panel("Versions", "That run", "none", [
        ("{{version}}", "count by (version) (bridge_build_info)"),
    ], kind="stat", columns=6),
    Panel("Room for events", "How long Postgres has partitions for them", "s", [
        ("left", "max(bridge_event_partitions_end_timestamp_seconds > 0) - time()"),
    ], (1209600, 604800), falling=True, kind="stat", columns=6),
    Panel("Connections left", "That Postgres has left", "none", [
        ("left", "min(bridge_database_connections_left and on (instance) (bridge_backlog_read_timestamp_seconds > 0))"),
    ], (20, 5), falling=True, kind="stat", columns=6),
    Panel("Partitions", "Owned by each worker", "short", [
        ("{{instance}}", "bridge_assigned_partitions"),
    ]),
    Panel("Rebalances", "Assignments a minute", "short", [
        ("{{instance}}", f"60 * rate(bridge_rebalances_total[{RATE}])"),
    ]),
    Panel("Processor", "Cores in use", "short", [
        ("{{instance}}", f'rate(process_cpu_seconds_total{{job=~"bridge-.+"}}[{RATE}])'),
    ], (0.7, 0.9)),
    Panel("Memory", "Resident; a worker may have 4 GiB", "bytes", [
        ("{{instance}}", 'process_resident_memory_bytes{job=~"bridge-.+"}'),
    ], (3650722201, 4080218931)),
    Panel("Network", "Bytes a second that each process's machine or container takes in and sends", "Bps", [
        ("{{instance}} in", f'rate(process_network_receive_bytes_total{{job=~"bridge-.+"}}[{RATE}])'),
        ("{{instance}} out", f'rate(process_network_transmit_bytes_total{{job=~"bridge-.+"}}[{RATE}])'),
    ]),
    Panel("Event loop", "Delay of the event loop", "s", [
        ("{{instance}}", "bridge_event_loop_lag_seconds"),
    ], (0.25, 1)),
    Panel("Open files", "Of each process", "short", [
        ("{{instance}}", 'process_open_fds{job=~"bridge-.+"}'),
    ]),
    Panel("Batches, by phase", "95 % of the batches took less", "s", [
        ("{{phase}}", f"histogram_quantile(0.95, sum by (le, phase) (rate(bridge_settle_seconds_bucket[{RATE}])))"),
    ], (1, 5)),
    Panel("Batch size", "Records of one batch", "short", quantiles("bridge_batch_records")),
    Panel("Lanes", "Lanes, and batches in flight", "short", [
        ("lanes", "sum(bridge_lanes)"),
        ("settling", "sum(bridge_batches_in_flight)"),
    ]),
    Panel("Duplicates found in memory", "Among all duplicates", "percentunit", [
        ("hit rate", f"sum(rate(bridge_dedup_hint_hits_total[{RATE}])) / {DUPLICATES}"),
    ]),
    Panel("Keys in memory", "That identify duplicates", "short", [
        ("{{instance}}", "sum by (instance) (bridge_dedup_hints)"),
    ]),
    Panel("Connections to Postgres", "Opened a minute, by what for", "short", [
        ("{{role}}", f"60 * sum by (role) (rate(bridge_database_connections_opened_total[{RATE}]))"),
    ]),
    Panel("Connections refused", "A minute", "short", [
        ("refused", f"60 * (sum(rate(bridge_database_connections_failed_total[{RATE}])) or vector(0))"),
    ], (1, 10)),
    Panel("Database", "Its size", "bytes", [
        ("size", "max(bridge_database_size_bytes)"),
    ], (80e9, 100e9)),
    Panel("Unusual offsets", "Stale copies, offsets without a record, batches refused: a second", "ops", [
        ("stale", f"sum(rate(bridge_stale_records_total[{RATE}]))"),
        ("skipped", f"sum(rate(bridge_skipped_offsets_total[{RATE}]))"),
        ("refused batches", f"sum(rate(bridge_batches_refused_total[{RATE}]))"),
    ]),
    Panel("Open transactions", "How long a producer's has held back the records behind it", "s", [
        ("{{topic}}:{{partition}}", "max by (topic, partition) (bridge_open_transaction_seconds)"),
    ], (60, 300)),
    Panel("Age of the figures from Postgres", "The age of what alerts on retries, dead letters, gate and breaker see", "s", [
        ("{{instance}}", 'time() - (bridge_backlog_read_timestamp_seconds{job="bridge-worker"} > 0)'),
    ], (60, 300)),
    Panel("Age of the figures from Kafka", "The lag is as old", "s", [
        ("{{instance}}", 'time() - (bridge_log_ends_read_timestamp_seconds{job="bridge-worker"} > 0)'),
    ], (30, 60)),
]  # fmt: skip

DASHBOARDS: Final = {
    "bridge-overview": ("Bridge: overview", OVERVIEW),
    "bridge-gateway": ("Bridge: gateway", GATEWAY),
    "bridge-infrastructure": ("Bridge: infrastructure", INFRASTRUCTURE),
}


def dashboard(uid: str) -> dict[str, Any]:
    """Return the dashboard in Grafana's form: the last hour, refreshed every 30 seconds."""
    title, panels = DASHBOARDS[uid]
    return {
        "uid": uid,
        "title": title,
        "tags": ["bridge"],
        "timezone": "browser",
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": 39,
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": _placed(panels),
    }


def _placed(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Place the panels from left to right, in rows."""
    placed, x, y = [], 0, 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.columns > WIDTH:
            x, y = 0, y + HEIGHT
        placed.append(_panel(number, panel, {"x": x, "y": y, "w": panel.columns, "h": HEIGHT}))
        x += panel.columns
    return placed


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": _steps(panel)}}
    if panel.limits is not None and panel.kind == "timeseries":
        defaults["custom"] = {"thresholdsStyle": {"mode": "line"}}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend, "datasource": DATASOURCE}
            for index, (legend, query) in enumerate(panel.queries)
        ],
    }


def _steps(panel: Panel) -> list[dict[str, Any]]:
    if panel.limits is None:
        return [{"value": None, "color": GREEN}]
    yellow, red = panel.limits
    if panel.falling:
        return [{"value": None, "color": RED}, {"value": red, "color": YELLOW}, {"value": yellow, "color": GREEN}]
    steps = [{"value": None, "color": GREEN}, {"value": yellow, "color": YELLOW}, {"value": red, "color": RED}]
    return steps if red > yellow else [steps[0], steps[2]]


def files() -> dict[Path, str]:
    """Return each dashboard's text by its file."""
    return {
        DIRECTORY / f"{uid}.json": json.dumps(dashboard(uid), indent=2, ensure_ascii=False) + "\n" for uid in DASHBOARDS
    }
