"""The queries of runbooks and dashboards: promtool accepts each, and their metrics and labels exist."""

import json
import re
from pathlib import Path

import pytest

from deploy.dashboards import DASHBOARDS, RATE
from deploy.rules import RULES
from telemetry import metrics
from tools.alerts.prometheus import FOREIGN_METRICS, load, ran
from tools.alerts.queries import QUERIES

# Those of the scrape, of histograms, and of processes.
FOREIGN_LABELS = {"instance", "job", "le"}
PANELS = [
    (f"{uid}: {panel.title}", query.replace(RATE, "5m"))
    for uid, (_, panels) in DASHBOARDS.items()
    for panel in panels
    for _, query in panel.queries
]
RECORDED = [rule["record"] for group in load(RULES)["groups"] for rule in group["rules"] if "record" in rule]


def test_promtool_takes_every_query(tmp_path: Path) -> None:
    """The queries become recording rules, as promtool checks only rules."""
    rules = [{"record": f"runbook:{number}", "expr": query} for number, (_, query) in enumerate(QUERIES + PANELS)]
    place = tmp_path / "queries.rules.yml"
    place.write_text(json.dumps({"groups": [{"name": "runbooks", "rules": rules}]}))

    checked = ran("promtool", "check", "rules", str(place))

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(("name", "query"), QUERIES + PANELS)
def test_a_query_asks_for_what_there_is(name: str, query: str) -> None:
    """A misspelt metric or label returns nothing, which looks like health."""
    known = {one.name: set(one.labels) for one in metrics.defined()}
    known |= {
        f"{metric}{suffix}": labels for metric, labels in known.items() for suffix in ("_bucket", "_count", "_sum")
    }
    known |= {name: set() for name in RECORDED}
    bare = re.sub(r'"[^"]*"', "", query)
    asked = set(re.findall(r"\b(?:bridge|process)_\w+|\bbridge:[\w:]+|\bup\b", bare))
    unknown = {metric for metric in asked if metric not in known and not FOREIGN_METRICS.fullmatch(metric)}
    by = {label.strip() for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", bare) for label in group.split(",")}
    selected = set(re.findall(r"[{,]\s*(\w+)(?==|!)", bare))

    assert asked, f"{name}: {query}"
    assert not unknown, f"{name}: {query}"
    labels = {label for metric in asked for label in known.get(metric, ())} | FOREIGN_LABELS
    assert by | selected <= labels, f"{name}: {query}"
