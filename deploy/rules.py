"""The alert rules, written out of their template: in their own times, or in a part of them for tests."""

import re
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

HERE: Final = Path(__file__).parent
TEMPLATE: Final = HERE / "prometheus" / "bridge.rules.template"
RULES: Final = HERE / "prometheus" / "bridge.rules.yml"
RUNBOOKS: Final = "docs/runbooks/"
DASHBOARDS: Final = "http://127.0.0.1:3000/d/"

_TIME = re.compile(r"\$\{(\d+)([smhd])(:s)?\}")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


PAGE: Final = HERE.parent / "docs" / "alerts.md"


def alerts() -> list[dict[str, Any]]:
    """The alerts among the rules, in the template's order."""
    rules = [rule for group in YAML(typ="safe", pure=True).load(render())["groups"] for rule in group["rules"]]
    return [rule for rule in rules if "alert" in rule]


def page() -> str:
    """The table of alerts as Markdown, the most urgent first."""
    rows = [
        (
            rule["labels"]["priority"],
            rule["alert"],
            f"`{' '.join(rule['expr'].split())}`",
            rule.get("for", ""),
            _silenced(rule["labels"]),
            _link(rule["annotations"]["runbook_url"].removeprefix(RUNBOOKS)),
        )
        for rule in sorted(alerts(), key=lambda rule: rule["labels"]["priority"])
    ]
    lines = [("priority", "alert", "fires when", "for", "silent during", "runbook"), ("---",) * 6, *rows]
    return "\n".join(
        [
            "# Alerts",
            "",
            "<!-- made by `python -m deploy`; edit deploy/prometheus/bridge.rules.template, not this page -->",
            "",
            "P0 is answered at once, P1 within half an hour, P2 in working hours. Ratios are recorded by the rules' first group.",
            "What an alert is silent during is the alert that it would only follow from; of one symptom only the worst is told.",
            "",
            *("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines),
            "",
        ]
    )


def _link(runbook: str) -> str:
    return f"[{runbook.removesuffix('.md')}](runbooks/{runbook})"


def _silenced(labels: dict[str, str]) -> str:
    return ", ".join(labels.get("follows", "").split())


def render(divisor: int = 1, *, runbooks: str = RUNBOOKS, dashboards: str = DASHBOARDS) -> str:
    """The rules with every time divided; runbooks and dashboards lie under the given places."""

    def time(found: re.Match[str]) -> str:
        seconds = int(found[1]) * _SECONDS[found[2]] / divisor
        if found[3]:
            return f"{seconds:g}"
        return f"{found[1]}{found[2]}" if divisor == 1 else f"{round(seconds * 1000)}ms"

    text = _TIME.sub(time, TEMPLATE.read_text())
    text = re.sub(r"(runbook_url: )", rf"\g<1>{runbooks}", text)
    text = re.sub(r"(dashboard_url: )", rf"\g<1>{dashboards}", text)
    body = text[text.index("groups:") :]
    return f"# Made from bridge.rules.template by `python -m deploy`; edit that file, not this one.\n{body}"
