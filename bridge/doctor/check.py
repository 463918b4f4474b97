"""A check of the doctor: a function that examines one thing, and the findings that it can have."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final, NamedTuple

from schemas.config.settings import Settings
from schemas.documents.doctor_report import Health

_MOST_LINES: Final = 5


class Finding(NamedTuple):
    """A line of the report: the name of the check, what was found, and the remedy."""

    check: str
    health: Health
    found: str
    mend: str = ""


Findings = AsyncIterator[Iterable[Finding]]
"""The findings of one check: a group for each of its verdicts."""


class Check(NamedTuple):
    """A check. `look` yields findings in groups; if `look` raises a BridgeError, the error becomes a finding too.

    `connects` means that the check connects to Postgres. Only a few such checks run at the same time.
    """

    group: str
    name: str
    look: Callable[[Settings], Findings]
    connects: bool = False


def ok(check: str, found: str) -> Finding:
    """Return a finding without a problem."""
    return Finding(check, Health.OK, found)


def warn(check: str, found: str, mend: str) -> Finding:
    """Return a finding that an operator should look at, although nothing is broken yet."""
    return Finding(check, Health.WARN, found, mend)


def fail(check: str, found: str, mend: str) -> Finding:
    """Return a finding of something that is broken, or is about to break."""
    return Finding(check, Health.FAIL, found, mend)


def graded(check: str, found: str, mend: str, *, warns: bool, fails: bool) -> Finding:
    """Return a finding of a value that has two limits. `warns` and `fails` tell which of the limits it exceeds."""
    if fails:
        return fail(check, found, mend)
    return warn(check, found, mend) if warns else ok(check, found)


def each(kind: Callable[[str, str, str], Finding], check: str, lines: Sequence[str], mend: str) -> Iterable[Finding]:
    """Yield a finding for each of the first few `lines`, then one finding with the number of the other lines."""
    for line in lines[:_MOST_LINES]:
        yield kind(check, line.partition("; run ")[0], mend)
    if len(lines) > _MOST_LINES:
        yield kind(check, f"and {len(lines) - _MOST_LINES} more", mend)


def listed(named: Sequence[object], most: int) -> str:
    """Return the first `most` of these, and the number of the others."""
    more = f" and {len(named) - most} more" if len(named) > most else ""
    return ", ".join(map(str, named[:most])) + more
