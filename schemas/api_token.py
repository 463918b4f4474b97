"""API tokens of operators, for the operators' HTTP API: the roles, their permissions, and a token's expiry."""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_AGE = re.compile(r"([1-9]\d{0,3})([hd])", re.ASCII)
_UNITS: Final = {"h": "hours", "d": "days"}
NEVER: Final = "never"


class Role(StrEnum):
    """The permissions of an API token. Each role includes the permissions of the roles before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """The role's position in the order of roles. A role includes the permissions of all roles with a lower rank."""
        return list(Role).index(self)

    @property
    def meaning(self) -> str:
        """A description for users."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    Role.VIEWER: "reads dead letters and plans, payloads too",
    Role.OPERATOR: "also discards, plans, replays and cancels",
    Role.ADMIN: "also acts on everything by `all`, forces the replay of what was replayed before, and lists tokens",
}


class ApiToken(NamedTuple):
    """An API token as it is stored: the digest of its secret, and the organisation whose data it may access.

    Without `org_id` the token may access the data of all organisations.
    """

    key_id: str
    name: str
    digest: bytes
    role: Role
    org_id: int | None
    expires_at: datetime | None
    revoked: bool


def is_token_name(text: str) -> bool:
    """Return whether a token may have this name."""
    return _NAME.fullmatch(text) is not None


def expiry(text: str, now: datetime) -> datetime | None:
    """Return when a token expires that is created now and valid for a time such as `90d` or `12h`; None for `never`.

    Raises ValueError with the accepted form.
    """
    if text == NEVER:
        return None
    match = _AGE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not 12h, 90d or {NEVER}")
    return now + timedelta(**{_UNITS[match[2]]: int(match[1])})
