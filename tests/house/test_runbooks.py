"""Every alert has its runbook, every runbook its alerts, and all are laid out alike."""

import re

import pytest

from deploy.runbooks import DIRECTORY, INDEX, callers, index, told

SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
# What there has to be a runbook for, whatever the alerts are.
WANTED = {
    "drops up": "drops-up.md",
    "retry ratio up": "retries-up.md",
    "brake on": "brake.md",
    "consumer stuck": "consumer-stuck.md",
    "database away": "service-away.md",
    "partition lost records": "lost-records.md",
    "disk filling": "disk-full.md",
    "pool exhausted": "connections-short.md",
}
RUNBOOKS = sorted(path.name for path in DIRECTORY.glob("*.md") if path != INDEX)


def test_alerts_lead_to_the_runbooks_that_there_are() -> None:
    """None to a page that is missing, and no page is read by nobody."""
    assert sorted(callers()) == RUNBOOKS
    assert set(WANTED.values()) <= set(RUNBOOKS)


def test_the_index_is_as_the_rules_say() -> None:
    """Whoever edits one renews the other."""
    assert INDEX.read_text() == index(), "renew it: python -m deploy"


@pytest.mark.parametrize("name", RUNBOOKS)
def test_a_runbook_is_laid_out_like_the_others(name: str) -> None:
    """Its alerts first, then the four sections; whoever is paged finds a command to begin with."""
    text = (DIRECTORY / name).read_text()

    assert told(callers()[name]) in text.splitlines(), "its line of alerts has to be: " + told(callers()[name])
    assert re.findall(r"^#+ (.+)$", text, re.MULTILINE)[1:] == SECTIONS
    diagnosis = text.partition("## Diagnosis")[2].partition("## Mitigation")[0]
    assert "```" in diagnosis
