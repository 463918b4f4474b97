"""Runbooks: every alert has one, every runbook has alerts, and all have the same layout."""

import re

import pytest

from deploy.runbooks import DIRECTORY, INDEX, callers, index, told

SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
# Situations that need a runbook regardless of the alerts.
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
    """No alert names a missing page, and each page has an alert."""
    assert sorted(callers()) == RUNBOOKS
    assert set(WANTED.values()) <= set(RUNBOOKS)


def test_the_index_is_as_the_rules_say() -> None:
    """An edit of the rules requires a new index."""
    assert INDEX.read_text() == index(), "renew it: python -m deploy"


@pytest.mark.parametrize("name", RUNBOOKS)
def test_a_runbook_is_laid_out_like_the_others(name: str) -> None:
    """Its alerts come first, then the four sections; Diagnosis has a command."""
    text = (DIRECTORY / name).read_text()

    assert told(callers()[name]) in text.splitlines(), "its line of alerts has to be: " + told(callers()[name])
    assert re.findall(r"^#+ (.+)$", text, re.MULTILINE)[1:] == SECTIONS
    diagnosis = text.partition("## Diagnosis")[2].partition("## Mitigation")[0]
    assert "```" in diagnosis
