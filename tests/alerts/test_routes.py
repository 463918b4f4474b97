"""Alertmanager's configuration, by amtool: receivers of alerts, and inhibitions."""

from pathlib import Path
from typing import Any

import pytest

from tools.alerts.prometheus import ALERTS, load, ran

CONFIG = Path(__file__).resolve().parents[2] / "deploy" / "alertmanager" / "alertmanager.yml"
RECEIVERS = {"P0": "at-once", "P1": "half-hour", "P2": "working-hours"}


def test_amtool_takes_the_configuration() -> None:
    """Syntax, receivers and matchers."""
    checked = ran("amtool", "check-config", str(CONFIG))

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_reaches_who_answers_in_its_time(alert: str) -> None:
    """The receiver depends on the priority alone."""
    labels = [f"{name}={value}" for name, value in {"alertname": alert, **ALERTS[alert]["labels"]}.items()]

    routed = ran("amtool", "config", "routes", "test", f"--config.file={CONFIG}", *labels)

    assert routed.returncode == 0, routed.stderr
    assert routed.stdout.split() == [RECEIVERS[ALERTS[alert]["labels"]["priority"]]]


def test_everybody_hears_by_slack_and_pages_wake_people() -> None:
    """A P2 pages no one."""
    receivers: dict[str, Any] = {one["name"]: one for one in load(CONFIG)["receivers"]}

    assert all(one["slack_configs"] for one in receivers.values())
    assert {name for name, one in receivers.items() if "pagerduty_configs" in one} == {"at-once", "half-hour"}


def test_what_is_followed_is_caused_by_some_alert_and_silenced() -> None:
    """A misspelt cause would inhibit nothing."""
    causes = {rule["labels"]["causes"] for rule in ALERTS.values() if "causes" in rule["labels"]}
    followed = {word for rule in ALERTS.values() for word in rule["labels"].get("follows", "").split()}
    inhibiting = {
        matcher.split('"')[1]
        for rule in load(CONFIG)["inhibit_rules"]
        for matcher in rule["source_matchers"]
        if matcher.startswith("causes=")
    }

    assert followed <= causes == inhibiting
    for rule in ALERTS.values():
        for word in rule["labels"].get("follows", "").split():
            sources = [one["labels"] for one in ALERTS.values() if one["labels"].get("causes") == word]
            # A P1 must not inhibit a P0.
            assert max(one["priority"] for one in sources) <= rule["labels"]["priority"], (rule["alert"], word)
        assert rule["labels"].get("causes") not in rule["labels"].get("follows", "").split()
