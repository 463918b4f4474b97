"""API tokens of operators: which roles there are, what each may do, and how long a token is good."""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_AGE = re.compile(r"([1-9]\d{0,3})([hd])", re.ASCII)
_UNITS: Final = {"h": "hours", "d": "days"}
NEVER: Final = "never"


class Role(StrEnum):
    """What a token may do; each may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """Its place in the order."""
        return list(Role).index(self)

    @property
    def meaning(self) -> str:
        """For people."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    Role.VIEWER: "reads dead letters and plans, payloads too",
    Role.OPERATOR: "also discards, plans, replays and cancels",
    Role.ADMIN: "also means everything by `all`, forces what was replayed before, and lists tokens",
}


class ApiToken(NamedTuple):
    """A token as the service knows it: whose it is, and the digest of its secret. Without `org_id` it is good for all."""

    key_id: str
    name: str
    digest: bytes
    role: Role
    org_id: int | None
    expires_at: datetime | None
    revoked: bool


def is_token_name(text: str) -> bool:
    """Whether a token may go by this name."""
    return _NAME.fullmatch(text) is not None


def expiry(text: str, now: datetime) -> datetime | None:
    """When a token that is good for `90d`, `12h` or `never` ends; raises ValueError with the accepted form."""
    if text == NEVER:
        return None
    match = _AGE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not 12h, 90d or {NEVER}")
    return now + timedelta(**{_UNITS[match[2]]: int(match[1])})
