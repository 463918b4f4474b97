"""Every alert fires exactly when it should, by promtool, and its texts have what an operator needs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bridge.reference.rules import DASHBOARDS, RUNBOOKS, render
from deploy import rules
from deploy.rules import RULES
from telemetry import metrics
from tools.alerts.prometheus import ALERTS, FOREIGN_METRICS, load, ran

HERE = Path(__file__).parent
MINUTE = 60
STEP = 15


CASES: dict[str, dict[str, Any]] = load(HERE / "cases.yml")


def seconds(text: str) -> int:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", text))


def firing(alert: str, at: int, *, expected: bool) -> dict[str, Any]:
    return {
        "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
        "eval_time": f"{at}s",
        "exp_samples": [{"labels": "{}", "value": 1}] if expected else [],
    }


def moments(alert: str, fires: str) -> list[dict[str, Any]]:
    """It fires at that time, and not one evaluation earlier."""
    at = seconds(fires)
    before = [firing(alert, at - STEP, expected=False)] if at >= STEP else []
    return [*before, firing(alert, at, expected=True)]


def never(alert: str, fires: str) -> list[dict[str, Any]]:
    """It is silent long after the time at which it would fire."""
    return [firing(alert, at, expected=False) for at in range(0, seconds(fires) + 20 * MINUTE, MINUTE)]


def unit_test(series: dict[str, str], questions: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "interval": f"{STEP}s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": questions,
    }


def groups_of(alert: str) -> list[dict[str, Any]]:
    """The groups of rules with that alert and the recorded rules that it depends on: promtool evaluates all that it is given."""
    groups = load(RULES)["groups"]
    recorded = {rule["record"]: rule["expr"] for group in groups for rule in group["rules"] if "record" in rule}
    needed, open_ = {alert}, [ALERTS[alert]["expr"]]
    while open_:
        names = set(re.findall(r"bridge:[a-z0-9_:]+", open_.pop())) - needed
        open_ += [recorded[name] for name in names]
        needed |= names
    kept = [
        group | {"rules": [rule for rule in group["rules"] if (rule.get("record") or rule["alert"]) in needed]}
        for group in groups
    ]
    return [group for group in kept if group["rules"]]


def told_by(directory: Path, tests: list[dict[str, Any]], *, alert: str | None = None) -> str:
    """What promtool reports of tests that failed, of one alert's rules or of all; an empty text if none did."""
    groups = load(RULES)["groups"] if alert is None else groups_of(alert)
    # Of all rules a round a minute: they take seconds, and a test of all asks for no exact moment.
    interval = MINUTE if alert is None else STEP
    (directory / RULES.name).write_text(json.dumps({"groups": groups}))
    (directory / "test.yml").write_text(
        json.dumps(
            {
                "rule_files": [RULES.name],
                "evaluation_interval": f"{interval}s",
                # As Prometheus would within one round; else ratios may come after the alerts on them.
                "group_eval_order": [group["name"] for group in groups],
                "tests": tests,
            }
        )
    )
    tested = ran("promtool", "test", "rules", "test.yml", cwd=directory)
    return "" if tested.returncode == 0 else tested.stdout + tested.stderr


def test_the_rules_are_as_their_template_says() -> None:
    """`python -m deploy` renews the rules and their page after a change of the template."""
    assert RULES.read_text() == render(), "renew it: python -m deploy"
    assert rules.PAGE.read_text() == rules.page(), "renew it: python -m deploy"


def test_promtool_takes_the_rules_and_the_configuration() -> None:
    """The rules in their own times, and the configuration that loads them."""
    for words in (("check", "rules", str(RULES)), ("check", "config", str(RULES.parent / "prometheus.yml"))):
        checked = ran("promtool", *words)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_scaled_rules_differ_in_their_times_only(tmp_path: Path) -> None:
    """With all times divided by thirty, promtool accepts the rules."""
    scaled = tmp_path / "scaled.rules.yml"
    scaled.write_text(render(30))
    checked = ran("promtool", "check", "rules", str(scaled))
    assert checked.returncode == 0, checked.stdout + checked.stderr

    own = {rule["alert"]: rule for group in load(scaled)["groups"] for rule in group["rules"] if "alert" in rule}
    assert own.keys() == ALERTS.keys()
    assert own["BridgeLagging"]["for"] == "4000ms"
    assert own["BridgeLagging"]["expr"].endswith("> 5 * 2")
    assert ALERTS["BridgeLagging"]["expr"].endswith("> 5 * 60")


def test_every_alert_has_its_cases() -> None:
    """Every case has its alert, too."""
    assert CASES.keys() == ALERTS.keys()


@pytest.mark.parametrize("alert", sorted(CASES))
def test_an_alert_fires_when_it_should_and_is_silent_just_before(alert: str, tmp_path: Path) -> None:
    """Over the limit it fires at the given moment and not one evaluation earlier; at the limit it never fires."""
    case = CASES[alert]
    tests = [
        unit_test(case["over"], moments(alert, case["fires"])),
        unit_test(case["under"], never(alert, case["fires"])),
    ]
    for other in case.get("others", ()):
        asked = never(alert, case["fires"]) if other["fires"] == "never" else moments(alert, other["fires"])
        tests.append(unit_test(other["series"], asked))

    assert told_by(tmp_path, tests, alert=alert) == ""


REFUSED = {
    # A visitor's rate: 60 refused and 60 retried events a minute.
    'bridge_events_total{outcome="dropped",sender="visitor"}': "0+15x400",
    'bridge_events_total{outcome="retried",sender="visitor"}': "0+15x400",
    'bridge_dropped_events_total{reason="schema_violation",sender="visitor"}': "0+15x400",
    'bridge_dead_letters_total{reason="schema_violation",sender="visitor"}': "0+15x400",
    # The most of one address, with the tokens of 64 scripts.
    'bridge_retries_waiting{tier="60s",sender="visitor",instance="a"}': "6720x400",
    'bridge_gate_failing{instance="a"}': "1x400",
    'bridge_gate_failing_sites{instance="a"}': "1x400",
    # All the requests that one address may send.
    'bridge_gateway_requests_total{route="events",status="401"}': "0+7500x400",
    'bridge_gateway_requests_total{route="events",status="429"}': "0+7500x400",
}
REPEATED = REFUSED | {
    'bridge_events_total{outcome="dropped",sender="visitor"}': "0+7515x400",
    'bridge_dropped_events_total{reason="duplicate_event_id",sender="visitor"}': "0+7500x400",
}
QUIET = {
    'up{job="bridge-worker",instance="a"}': "1x400",
    'up{job="bridge-gateway",instance="g"}': "1x400",
    'bridge_events_total{outcome="normalized",sender="server"}': "0x400",
    'bridge_events_total{outcome="normalized",sender="visitor"}': "0x400",
    'bridge_dropped_events_total{reason="schema_violation",sender="server"}': "0x400",
    'bridge_dead_letters_total{reason="schema_violation",sender="server"}': "0x400",
    'bridge_gateway_requests_total{route="events",status="202"}': "0x400",
    'bridge_gateway_server_requests_total{status="202"}': "0x400",
    'bridge_gateway_server_requests_total{status="401"}': "0x400",
    'bridge_gateway_server_requests_total{status="429"}': "0x400",
}
BUSY = QUIET | {
    'bridge_events_total{outcome="normalized",sender="server"}': "0+225x400",
    'bridge_gateway_requests_total{route="events",status="202"}': "0+225x400",
    'bridge_gateway_server_requests_total{status="202"}': "0+225x400",
}


PAGES = {"expr": 'count by (alertname) (ALERTS{alertstate="firing",priority=~"P0|P1"})', "exp_samples": []}


@pytest.mark.parametrize("refused", [0, 1])
def test_a_server_s_duplicates_alert_nobody(refused: int, tmp_path: Path) -> None:
    """One event sent 150 times in 15 seconds, alone or beside a refused one, has too few outcomes for an alert."""
    series = QUIET | {
        'bridge_events_total{outcome="normalized",sender="server"}': "0x40 1x400",
        'bridge_events_total{outcome="dropped",sender="server"}': f"0x40 0+{149 + refused}x400",
        'bridge_dropped_events_total{reason="duplicate_event_id",sender="server"}': "0x40 0+149x400",
        'bridge_dropped_events_total{reason="schema_violation",sender="server"}': f"0x40 0+{refused}x400",
    }
    asked = {"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "exp_samples": []}

    assert told_by(tmp_path, [unit_test(series, [asked | {"eval_time": f"{minute}m"} for minute in range(99)])]) == ""


@pytest.mark.parametrize("visitor", [REFUSED, REPEATED], ids=["refused", "repeated"])
@pytest.mark.parametrize("servers", [QUIET, BUSY], ids=["quiet", "busy"])
def test_one_visitor_at_his_bounds_pages_nobody(
    visitor: dict[str, str], servers: dict[str, str], tmp_path: Path
) -> None:
    """One visitor fires only alerts for working hours, alone and beside 15 events a second of servers."""
    asked = [PAGES | {"eval_time": f"{minute}m"} for minute in range(99)]
    told = [
        "BridgeGateFailingSites", "BridgeVisitorsRateLimitingSpike", "BridgeVisitorsAuthFailuresSpike",
        "BridgeVisitorsRetriesWaiting",
    ]  # fmt: skip
    if visitor is REFUSED:
        told.append("BridgeVisitorsFailuresHigh")
    asked += [firing(alert, 60 * MINUTE, expected=True) for alert in told]
    assert told_by(tmp_path, [unit_test(visitor | servers, asked)]) == ""


@pytest.mark.parametrize("servers", [QUIET, BUSY], ids=["quiet", "busy"])
def test_replays_that_fail_again_page_nobody(servers: dict[str, str], tmp_path: Path) -> None:
    """An operator of an organisation replays 300 events a second that are dropped or retried again."""
    replays = {
        'bridge_events_total{outcome="dropped",sender="replay"}': "0+4500x400",
        'bridge_events_total{outcome="retried",sender="replay"}': "0+4500x400",
        'bridge_dropped_events_total{reason="schema_violation",sender="replay"}': "0+4500x400",
        'bridge_dead_letters_total{reason="schema_violation",sender="replay"}': "0+4500x400",
        'bridge_retries_waiting{tier="60s",sender="replay",instance="a"}': "90000x400",
    }
    asked = [PAGES | {"eval_time": f"{minute}m"} for minute in range(99)]
    assert told_by(tmp_path, [unit_test(servers | replays, asked)]) == ""


def test_a_script_that_is_paused_pages_nobody(tmp_path: Path) -> None:
    """Requests of a paused script get 503 by an operator's decision, in any number."""
    paused = {
        'bridge_gateway_requests_total{route="events",status="503"}': "0x40 0+7500x400",
        "bridge_gateway_errors_total": "0x400",
    }
    asked = [PAGES | {"eval_time": f"{minute}m"} for minute in range(99)]
    assert told_by(tmp_path, [unit_test(BUSY | paused, asked)]) == ""


@pytest.mark.parametrize(
    ("alert", "lasts"),
    [
        # Thirty days of 1 % at 15 and at 7 % late, of 3 % at 44 and at 19 %, of 0.1 % at 1.5 and at 0.7 %.
        ("BridgeFreshnessBurnsFast", "2d 0h 0m 0s"),
        ("BridgeFreshnessBurnsSlowly", "4d 6h 51m 0s"),
        ("BridgeCorrectnessBurnsFast", "2d 1h 5m 0s"),
        ("BridgeCorrectnessBurnsSlowly", "4d 17h 41m 0s"),
        ("BridgeIngestBurnsFast", "2d 0h 0m 0s"),
        ("BridgeIngestBurnsSlowly", "4d 6h 51m 0s"),
    ],
)
def test_a_burn_rate_tells_how_long_the_month_lasts_at_today_s_figure(alert: str, lasts: str, tmp_path: Path) -> None:
    """The time is computed from the current rate, not from the limit."""
    case, rule = CASES[alert], ALERTS[alert]
    asked = {"alertname": alert, "eval_time": f"{seconds(case['fires'])}s", "exp_alerts": []}
    test = unit_test(case["over"], []) | {"alert_rule_test": [asked]}
    told = told_by(tmp_path, [test], alert=alert)
    assert f"lasts {lasts}" in told, told
    assert rule["annotations"]["runbook_url"] in told


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_says_what_is_wrong_and_what_to_do(alert: str) -> None:
    """Every alert has a priority, a number, a runbook and a dashboard."""
    rule = ALERTS[alert]

    assert rule["labels"]["priority"] in {"P0", "P1", "P2"}
    assert re.search(r"\{\{.*\$value|with query", rule["annotations"]["summary"])
    assert re.fullmatch(re.escape(RUNBOOKS) + r"[a-z-]+\.md", rule["annotations"]["runbook_url"])
    assert re.fullmatch(re.escape(DASHBOARDS) + r"bridge-[a-z]+", rule["annotations"]["dashboard_url"])


# Metrics of other processes and of the gateway count as well.
def test_the_rules_ask_for_metrics_that_exist() -> None:
    """An alert on a misspelt name never fires."""
    known = {one.name for one in metrics.defined()}
    known |= {f"{name}{suffix}" for name in known for suffix in ("_bucket", "_count", "_sum")}
    for group in load(RULES)["groups"]:
        for rule in group["rules"]:
            expression = re.sub(r'"[^"]*"|\[[^\]]*\]|\b(by|on) \([^)]*\)|\{[^}]*\}', " ", rule["expr"])
            for name in re.findall(r"(?<![\w:])(?:bridge|process|node)_\w+|\bup\b", expression):
                assert name in known or FOREIGN_METRICS.fullmatch(name), f"{name} in {rule}"


def test_a_frozen_server_pages_within_half_a_minute() -> None:
    """12 s of the worker's own wait and the longest delays of scrape, rule and route add up to at most 30 s."""
    deployed = RULES.parent
    prometheus, routes = load(deployed / "prometheus.yml"), load(deployed.parent / "alertmanager" / "alertmanager.yml")
    (job,) = (one for one in prometheus["scrape_configs"] if one["job_name"] == "bridge-worker")
    (group,) = (one for one in load(RULES)["groups"] if one["name"] == "bridge-workers")
    (rule,) = (one for one in group["rules"] if one["alert"] == "BridgeServiceAway")
    (route,) = (one for one in routes["route"]["routes"] if "P0" in one["matchers"][0])

    spent = [job["scrape_interval"], group["interval"], rule["for"], route["group_wait"]]
    assert 12 + sum(seconds(one) for one in spent) <= 30, spent
