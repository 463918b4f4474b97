"""pip-audit's findings: accepted ones pass until their date; others and unreadable reports fail."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from deploy import findings
from deploy.findings import Accepted, FindingsError, problems, read_accepted

TODAY = date(2026, 11, 28)
ENTRY = """\
[[finding]]
id = "CVE-2026-1"
package = "one"
reason = "not reached"
until = 2026-12-31
"""
ACCEPTED = Accepted("CVE-2026-1", "one", "not reached", date(2026, 12, 31))
FOUND = {
    "name": "one",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-2026-1"], "fix_versions": ["1.1"]}],
}
CLEAN = {"name": "two", "version": "2.0", "vulns": []}


def report(*packages: Any) -> dict[str, Any]:
    return {"dependencies": list(packages), "fixes": []}


@pytest.mark.parametrize(
    ("accepted", "packages", "today", "expected"),
    [
        ([], [CLEAN], TODAY, []),
        ([], [FOUND, CLEAN], TODAY, ["one 1.0: PYSEC-1, mended in 1.1"]),
        ([ACCEPTED], [FOUND], date(2026, 12, 31), []),
        ([ACCEPTED], [FOUND], date(2027, 1, 1), ["one: CVE-2026-1 was accepted until 2026-12-31: fix it, or give a new reason and date"]),
        ([ACCEPTED], [FOUND], date(2026, 1, 1), ["one: CVE-2026-1 is accepted until 2026-12-31: at most 180 days ahead"]),
        ([ACCEPTED], [CLEAN], TODAY, ["one: CVE-2026-1 is accepted and no longer found: take the entry out"]),
        ([ACCEPTED], [FOUND, FOUND | {"name": "three"}], TODAY, ["three 1.0: PYSEC-1, mended in 1.1"]),
        ([], [{"name": "own", "skip_reason": "not on the index"}], TODAY, ["own: not looked up: not on the index"]),
    ],
)  # fmt: skip
def test_what_is_left_over(accepted: list[Accepted], packages: list[Any], today: date, expected: list[str]) -> None:
    """A finding counts once, in however many lock files it is."""
    assert problems([report(*packages), report(*packages)], accepted, today) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ENTRY.replace('reason = "not reached"\n', ""), "finding 1: must have id, package, reason and until"),
        (ENTRY + 'by = "me"\n', "finding 1: must have id, package, reason and until, and nothing else"),
        (ENTRY.replace('"not reached"', '" "'), "finding 1: id, package and reason must not be empty"),
        (ENTRY.replace("2026-12-31", '"2026-12-31"'), "finding 1: until must be a date"),
        (ENTRY.replace("2026-12-31", "2026-12-31T00:00:00Z"), "finding 1: until must be a date"),
        (ENTRY + ENTRY, "names a finding twice"),
        ("finding = 1 1", "can't read"),
        ("finding = [1]", "finding 1: must have id"),
    ],
)
def test_a_list_that_can_t_be_used_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """An entry without a reason or a date accepts nothing."""
    path = tmp_path / "accepted.toml"
    path.write_text(text)
    with pytest.raises(FindingsError, match=told):
        read_accepted(path)


def test_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit codes are 0, 1 and 3; a report without packages is a failure of pip-audit."""
    path, accepted = tmp_path / "report.json", tmp_path / "accepted.toml"
    accepted.write_text("")
    monkeypatch.setattr(findings.read_accepted, "__defaults__", (accepted,))
    for text, code, told in (
        (json.dumps(report(CLEAN)), 0, ""),
        (json.dumps(report(FOUND)), 1, "one 1.0: PYSEC-1, mended in 1.1\n"),
        (json.dumps(report()), 3, "names no package: did pip-audit reach its advisory service?"),
        ("[]", 3, "names no package"),
        ("", 3, "can't read the report"),
    ):
        path.write_text(text)
        assert findings.main([str(path)]) == code, text
        said = capsys.readouterr()
        assert told in said.out + said.err
    assert findings.main([str(tmp_path / "none.json")]) == 3
    assert findings.main([]) == 3
