"""API tokens of operators: create, list and revoke. Services are notified after the commit."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import asyncpg

from schemas.api_key import NewKey, make_key
from schemas.api_token import Role, is_token_name
from schemas.errors import InvalidInput
from schemas.events.raw_event import MAX_INTEGER
from sinks.postgres.connection import connection
from sinks.postgres.registry.admin import asking, changing
from sinks.postgres.runs.history import started_by
from sinks.postgres.statements import sql


class ApiTokenRow(NamedTuple):
    """A token in `bridge api token list`; its secret is not stored."""

    name: str
    key_id: str
    role: str
    org_id: int | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None

    def state(self, now: datetime) -> str:
        """Return active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


async def create_api_token(
    dsn: str, name: str, role: Role, *, org_id: int | None = None, expires_at: datetime | None = None
) -> NewKey:
    """Create a token; raises InvalidInput if the name was used before, or the organisation is not registered."""
    if not is_token_name(name):
        raise InvalidInput(
            f"token name {name!r}: 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit"
        )
    if org_id is not None and not 1 <= org_id <= MAX_INTEGER:
        raise _not_registered(org_id)
    made = make_key(secrets.token_bytes)
    async with changing(dsn, "making a token") as conn:
        if org_id is not None and await conn.fetchval(sql("org_show"), org_id) is None:
            raise _not_registered(org_id)
        try:
            await conn.execute(
                sql("api_token_add"), made.key_id, name, made.digest, role.value, org_id, started_by(), expires_at
            )
        except asyncpg.UniqueViolationError:
            raise InvalidInput(
                f"the name {name!r} was given to a token before, to which the history refers by this name; choose another"
            ) from None
    return made


def _not_registered(org_id: int) -> InvalidInput:
    return InvalidInput(f"organisation {org_id} is not registered; see `bridge script list`")


async def revoke_api_token(dsn: str, name: str) -> bool:
    """Revoke an API token; return False if it was revoked before. Raises InvalidInput if no token has that name."""
    async with changing(dsn, "revoking a token") as conn:
        if await conn.fetchval(sql("api_token_revoke"), name, started_by()) is not None:
            return True
        known = {row["name"] for row in await conn.fetch(sql("api_tokens_list"), None)}
    if name not in known:
        raise InvalidInput(f"there is no token {name!r}; see `bridge api token list`")
    return False


async def list_api_tokens(dsn: str, *, org_id: int | None = None) -> list[ApiTokenRow]:
    """Return the API tokens of one organisation, or of all organisations, the newest token first."""
    async with asking(dsn, "reading the tokens") as conn:
        return [ApiTokenRow(*row.values()) for row in await conn.fetch(sql("api_tokens_list"), org_id)]


async def note_used(dsn: str, used: Mapping[str, datetime]) -> None:
    """Record when API tokens were last used; the tokens are given by key id. Raises SinkUnavailable."""
    async with connection(dsn, "tokens") as conn:
        await conn.execute(sql("api_tokens_used"), list(used), list(used.values()))
