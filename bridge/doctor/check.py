"""A check of the doctor: a small declared function that looks at one thing, and what it may answer."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final, NamedTuple

from schemas.config.settings import Settings
from schemas.documents.doctor_report import Health

_MOST_LINES: Final = 5


class Finding(NamedTuple):
    """One line: what was found under which name, and how to mend it."""

    check: str
    health: Health
    found: str
    mend: str = ""


class Check(NamedTuple):
    """What is looked at. `look` yields findings; an error of ours that it raises is a finding of its own.

    `connects` says whether it connects to Postgres; few such checks are made at once.
    """

    group: str
    name: str
    look: Callable[[Settings], AsyncIterator[Finding]]
    connects: bool = False


def ok(check: str, found: str) -> Finding:
    """As it should be."""
    return Finding(check, Health.OK, found)


def warn(check: str, found: str, mend: str) -> Finding:
    """Worth a look; nothing is broken yet."""
    return Finding(check, Health.WARN, found, mend)


def fail(check: str, found: str, mend: str) -> Finding:
    """Broken, or about to be."""
    return Finding(check, Health.FAIL, found, mend)


def each(kind: Callable[[str, str, str], Finding], check: str, lines: Sequence[str], mend: str) -> Iterable[Finding]:
    """A finding for each line; of many the first few, and how many there are besides."""
    for line in lines[:_MOST_LINES]:
        yield kind(check, line.partition("; run ")[0], mend)
    if len(lines) > _MOST_LINES:
        yield kind(check, f"and {len(lines) - _MOST_LINES} more", mend)
