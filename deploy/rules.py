"""The repository's alert rules, with the default limits, and the page about them."""

from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from bridge.reference.rules import LIMITS, RUNBOOKS, render

HERE: Final = Path(__file__).parent
RULES: Final = HERE / "prometheus" / "bridge.rules.yml"
PAGE: Final = HERE.parent / "docs" / "alerts.md"


def alerts() -> list[dict[str, Any]]:
    """Return the alerts among the rules, in the template's order."""
    rules = [rule for group in YAML(typ="safe", pure=True).load(render())["groups"] for rule in group["rules"]]
    return [rule for rule in rules if "alert" in rule]


def page() -> str:
    """Return the table of alerts as Markdown, the most urgent first."""
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
            "<!-- made by `python -m deploy`; edit bridge/reference/bridge.rules.template and limits.toml, not this page -->",
            "",
            "P0 is answered immediately, P1 within half an hour, P2 in working hours. Ratios are recorded by the rules' first group.",
            "An alert is silent during the alerts that it follows from. Of the alerts of one symptom only the worst is sent.",
            "",
            *("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines),
            "",
            "## Limits",
            "",
            "As `bridge deploy limits` prints them. With a file of those that you change, `bridge deploy rules --limits FILE` writes",
            "the rules for your installation, and `--limit NAME=NUMBER` changes one.",
            "",
            "```toml",
            *LIMITS.read_text(encoding="utf-8").splitlines(),
            "```",
            "",
        ]
    )


def _link(runbook: str) -> str:
    return f"[{runbook.removesuffix('.md')}](runbooks/{runbook})"


def _silenced(labels: dict[str, str]) -> str:
    return ", ".join(labels.get("follows", "").split())
