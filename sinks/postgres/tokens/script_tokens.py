"""API keys of a script: create, list and revoke. Gateways are notified after the commit."""

import secrets
from datetime import datetime
from typing import Final, NamedTuple

from schemas.api_key import NewKey, make_key
from schemas.errors import InvalidInput
from sinks.postgres.registry.admin import asking, changing, lock_script
from sinks.postgres.runs.history import started_by
from sinks.postgres.statements import sql

MOST_ACTIVE: Final = 2
"""The most active keys of a script: the one in use, and its successor."""

_LONGEST_NOTE = 200


class TokenRow(NamedTuple):
    """A key in `bridge script token list`; its secret is not stored."""

    key_id: str
    note: str
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    revoked_by: str | None


async def create_token(dsn: str, script_id: str, note: str = "") -> NewKey:
    """Create an API key of a script; raises InvalidInput if the script is not registered or has two active keys."""
    if len(note) > _LONGEST_NOTE or not (note.isprintable() or not note):
        raise InvalidInput(f"--note: at most {_LONGEST_NOTE} printable characters")
    made = make_key(secrets.token_bytes)
    async with changing(dsn, "making a key") as conn:
        # The script's row is locked. Otherwise two concurrent calls could both create the second key.
        await lock_script(conn, script_id)
        active = [row["key_id"] for row in await conn.fetch(sql("script_token_active"), script_id)]
        if len(active) >= MOST_ACTIVE:
            raise InvalidInput(
                f"script {script_id!r} has {len(active)} active keys already ({', '.join(active)}): revoke one first"
            )
        await conn.execute(sql("script_token_add"), made.key_id, script_id, made.digest, note, started_by())
    return made


async def revoke_token(dsn: str, script_id: str, key_id: str) -> bool:
    """Revoke a key; return whether it was active before. Raises InvalidInput if the script has no such key."""
    async with changing(dsn, "revoking a key") as conn:
        await lock_script(conn, script_id)
        if await conn.fetchval(sql("script_token_revoke"), script_id, key_id, started_by()) is not None:
            return True
        known = {row["key_id"] for row in await conn.fetch(sql("script_tokens_list"), script_id)}
    if key_id not in known:
        raise InvalidInput(f"script {script_id!r} has no key {key_id!r}; see `bridge script token list {script_id}`")
    return False


async def list_tokens(dsn: str, script_id: str) -> list[TokenRow]:
    """Return the script's API keys, the newest first; raises InvalidInput if the script is not registered."""
    async with asking(dsn, "reading the keys") as conn:
        await lock_script(conn, script_id)
        return [TokenRow(*row.values()) for row in await conn.fetch(sql("script_tokens_list"), script_id)]
