"""The runbooks by the alerts that link to them: the line that each has to contain, and their index."""

from pathlib import Path
from typing import Final, NamedTuple

from deploy import rules

DIRECTORY: Final = rules.HERE.parent / "docs" / "runbooks"
INDEX: Final = DIRECTORY / "README.md"


class Caller(NamedTuple):
    """An alert that links to a runbook, sorted by priority."""

    priority: str
    alert: str


def callers() -> dict[str, list[Caller]]:
    """Return the alerts by the runbook's file name."""
    found: dict[str, list[Caller]] = {}
    for rule in rules.alerts():
        name = Path(rule["annotations"]["runbook_url"]).name
        found.setdefault(name, []).append(Caller(rule["labels"]["priority"], rule["alert"]))
    return {name: sorted(found[name]) for name in sorted(found)}


def told(alerts: list[Caller]) -> str:
    """Return the line of a runbook that lists the alerts that link to it."""
    return "**Alerts:** " + ", ".join(f"`{one.alert}` ({one.priority})" for one in alerts)


def title(name: str) -> str:
    """Return the runbook's heading."""
    return (DIRECTORY / name).read_text().partition("\n")[0].removeprefix("# ")


def index() -> str:
    """Return the page that links each alert to its runbook."""
    rows = sorted((one.alert, one.priority, name) for name, alerts in callers().items() for one in alerts)
    return "\n".join(
        [
            "# Runbooks",
            "",
            "<!-- made by `python -m deploy`; edit deploy/runbooks.py, not this page -->",
            "",
            "What to do when an alert fires. Each runbook begins with the meaning and the impact. Then come the commands to run",
            "first, their output, and what to conclude from it.",
            "",
            "- `bridge` commands take their settings from the environment, as a worker does. If the worker runs in a container, run them in it.",
            "  Words in capitals, such as `CAUSE` or `PLAN`, are placeholders for values from the output of an earlier command.",
            "- SQL goes to the product's database: `psql` with its URL (`postgresql://…`, without `+asyncpg`).",
            "- Queries go to Prometheus.",
            "- `bridge doctor` checks everything in one run; when you don't know where to begin, begin there.",
            "",
            "| alert | priority | runbook |",
            "| --- | --- | --- |",
            *(f"| {alert} | {priority} | [{title(name)}]({name}) |" for alert, priority, name in rows),
            "",
        ]
    )
