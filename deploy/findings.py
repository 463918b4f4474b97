"""`python -m deploy.findings REPORT...`: compares pip-audit's reports with the findings that are accepted until a date.

A report is the output of `pip-audit --format json`. The check fails for a finding that is not accepted, for an
acceptance that has expired or is in no report any more, and for a package that pip-audit could not look up.
"""

import json
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ACCEPTED = Path(__file__).with_name("accepted-findings.toml")
_MOST_DAYS = 180


class FindingsError(Exception):
    """A file that can't be read: its place, and what to do."""


@dataclass(frozen=True)
class Accepted:
    """One finding in one package, why it is harmless here, and the last day of its acceptance."""

    id: str
    package: str
    reason: str
    until: date


def read_accepted(path: Path = ACCEPTED) -> list[Accepted]:
    """Return the accepted findings; raises FindingsError for an entry that is incomplete, unspecific or duplicated."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("finding", [])
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise FindingsError(f"can't read {path}: {error}") from error
    accepted = []
    for number, entry in enumerate(entries, start=1):
        place = f"{path.name}: finding {number}"
        if not isinstance(entry, dict) or set(entry) != {"id", "package", "reason", "until"}:
            raise FindingsError(f"{place}: must have id, package, reason and until, and nothing else")
        if type(entry["until"]) is not date:
            raise FindingsError(f"{place}: until must be a date, as in 2027-01-31")
        if not all(isinstance(entry[name], str) and entry[name].strip() for name in ("id", "package", "reason")):
            raise FindingsError(f"{place}: id, package and reason must not be empty")
        accepted.append(Accepted(**entry))
    if len({(one.id, one.package) for one in accepted}) < len(accepted):
        raise FindingsError(f"{path.name}: names a finding twice")
    return accepted


def problems(reports: Iterable[Any], accepted: Iterable[Accepted], today: date) -> list[str]:
    """Return one line for each finding that is not accepted and each acceptance that no longer applies."""
    lines: dict[str, None] = {}
    seen: set[Accepted] = set()
    for package in (one for report in reports for one in report["dependencies"]):
        if "skip_reason" in package:
            lines[f"{package['name']}: not looked up: {package['skip_reason']}"] = None
        for found in package.get("vulns", []):
            names = {found["id"], *found.get("aliases", [])}
            fitting = [one for one in accepted if one.package == package["name"] and one.id in names]
            seen.update(fitting)
            if not fitting:
                mended = ", ".join(found.get("fix_versions", [])) or "no version"
                lines[f"{package['name']} {package['version']}: {found['id']}, mended in {mended}"] = None
    for one in accepted:
        if one.until < today:
            lines[f"{one.package}: {one.id} was accepted until {one.until}: fix it, or give a new reason and date"] = (
                None
            )
        elif (one.until - today).days > _MOST_DAYS:
            lines[f"{one.package}: {one.id} is accepted until {one.until}: at most {_MOST_DAYS} days ahead"] = None
        if one not in seen:
            lines[f"{one.package}: {one.id} is accepted and no longer found: take the entry out"] = None
    return list(lines)


def main(words: list[str]) -> int:
    """Return 0 if there is no problem, 1 if there is one, 3 if a report or the list can't be read."""
    try:
        accepted = read_accepted()
        reports = [_report(Path(word)) for word in words]
        if not reports:
            raise FindingsError("no report given: write them with pip-audit --format json --output FILE")
    except FindingsError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a program of its own
        return 3
    lines = problems(reports, accepted, datetime.now(UTC).date())
    for line in lines:
        print(line)  # noqa: T201
    return 1 if lines else 0


def _report(path: Path) -> Any:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FindingsError(
            f"can't read the report {path}: {error}: did pip-audit reach its advisory service?"
        ) from error
    if not isinstance(report, dict) or not report.get("dependencies"):
        raise FindingsError(f"the report {path} names no package: did pip-audit reach its advisory service?")
    return report


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
