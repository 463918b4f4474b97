"""Authentication: the token of a request, its role, and the organisation to which it is bound."""

import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from bridge.http.problems import Code, Problem
from schemas.api_key import read_key
from schemas.api_token import ApiToken, Role
from sinks.postgres.runs.history import OF_THE_API

_BEARER: Final = b"bearer "


class Caller(NamedTuple):
    """The authenticated token of a request. `org_id` None means that it is bound to no organisation."""

    name: str
    key_id: str
    role: Role
    org_id: int | None
    expires_at: datetime | None

    @property
    def in_history(self) -> str:
        """Return the caller's name in the history of runs."""
        return f"{OF_THE_API}{self.name}"

    def must_be(self, least: Role) -> None:
        """Check the caller's role; raises Problem unless the role is `least` or a higher one."""
        if self.role.rank < least.rank:
            detail = f"the role of the token {self.name} is {self.role}; this action needs the role {least}"
            raise Problem(Code.ROLE_TOO_LOW, detail)


def admit(known: Mapping[str, ApiToken], headers: Mapping[bytes, bytes], now: Callable[[], datetime]) -> Caller:
    """Return the caller that the token in `headers` authenticates; `known` are the existing tokens by key id.

    Raises Problem, with the reason, if the token is missing or not valid.
    """
    given = headers.get(b"authorization")
    if given is None:
        raise Problem(
            Code.TOKEN_MISSING, "send the header `Authorization: Bearer` with a token of `bridge api token create`"
        )
    if given[: len(_BEARER)].lower() != _BEARER:
        raise Problem(Code.TOKEN_FORGED, "Authorization must be `Bearer` and a token of `bridge api token create`")
    read = read_key(given[len(_BEARER) :].strip().decode("latin-1"))
    token = None if read is None else known.get(read[0])
    if read is None or token is None or not hmac.compare_digest(token.digest, read[1]):
        raise Problem(Code.TOKEN_FORGED)
    if token.revoked:
        raise Problem(Code.TOKEN_REVOKED)
    if token.expires_at is not None and token.expires_at <= now():
        raise Problem(Code.TOKEN_EXPIRED)
    return Caller(token.name, token.key_id, token.role, token.org_id, token.expires_at)
