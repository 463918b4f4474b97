"""Changes of the registry of scripts (registered sources of a site's events): add, move, enable and disable.

Workers and gateways are notified after the commit.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum
from ipaddress import AddressValueError, IPv6Address
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from schemas.errors import InvalidInput, PreconditionFailed, RowRejected, SinkUnavailable
from schemas.events.raw_event import MAX_INTEGER, MAX_SCRIPT_ID
from sinks.postgres.connection import Connection, connection
from sinks.postgres.registry.cache import tell_of_change
from sinks.postgres.registry.history import sign_changes
from sinks.postgres.statements import sql
from sinks.refusals import refusal

_HOST_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_MAX_HOST: Final = 253
_DEFAULT_PORT: Final = {"http": 80, "https": 443}


class Change(StrEnum):
    """What a command has changed in the registration of a script."""

    ADDED = "added"
    UPDATED = "updated"
    MOVED = "moved"
    ENABLED = "enabled"
    DISABLED = "disabled"
    UNCHANGED = "unchanged"


class ScriptRow(NamedTuple):
    """A script in `bridge script list`. `updated_at` is the time of its last change, by a command or by SQL."""

    script_id: str
    site_id: int
    org_id: int | None
    enabled: bool
    origins: list[str]
    created_at: datetime
    updated_at: datetime
    shared_ids: bool


def check_origin(text: str) -> str:
    """Return the origin in the form that browsers send, in lower case.

    Raises InvalidInput unless the text is scheme://host or scheme://host:port.
    """
    form = "expected exactly https://host or https://host:port, without a path or a wildcard"
    try:
        parts = urlsplit(text.lower())
        port, host = parts.port, parts.hostname
    except ValueError:
        raise InvalidInput(f"origin {text!r} is not an origin; {form}") from None
    if parts.scheme not in _DEFAULT_PORT or host is None or not _is_host(host, bracketed="[" in parts.netloc):
        raise InvalidInput(f"origin {text!r} is not an origin; {form}")
    shown = f"[{host}]" if ":" in host else host
    exact = f"{parts.scheme}://{shown}" + ("" if port is None else f":{port}")
    if exact != text.lower() or port == 0:
        raise InvalidInput(f"origin {text!r} is not an origin; {form}")
    # Browsers omit the scheme's default port, so an origin with that port would never match.
    return f"{parts.scheme}://{shown}" if port == _DEFAULT_PORT[parts.scheme] else exact


def _is_host(host: str, *, bracketed: bool) -> bool:
    if bracketed:
        try:
            IPv6Address(host)
        except AddressValueError:
            return False
        return "%" not in host
    return len(host) <= _MAX_HOST and all(_HOST_LABEL.fullmatch(label) for label in host.split("."))


async def add_script(
    dsn: str,
    script_id: str,
    site_id: int,
    *,
    org_id: int | None = None,
    origins: Sequence[str] | None = None,
    move: bool = False,
    shared_ids: bool | None = None,
) -> Change:
    """Register a script (a source of a site's events) with its site and organisation.

    If the script is registered already, values that are None stay unchanged. Raises InvalidInput for a malformed value.
    If `move` is False, raises InvalidInput too when the script would change its site, or the site its organisation.
    """
    _check(script_id, site_id=site_id, org_id=org_id)
    wanted = None if origins is None else sorted({check_origin(one) for one in origins})
    async with changing(dsn, "adding a script") as conn:
        site_changed = await _place_site(conn, site_id, org_id, move=move)
        if await conn.fetchval(sql("script_add"), script_id, site_id, wanted or [], bool(shared_ids)) is not None:
            return Change.ADDED
        row = await conn.fetchrow(sql("script_lock"), script_id)
        moved = row["site_id"] != site_id
        if moved and not move:
            raise InvalidInput(
                f"script {script_id!r} belongs to site {row['site_id']}, not {site_id}; give --move to move it"
            )
        kept = list(row["origins"]) if wanted is None else wanted
        shared = row["shared_ids"] if shared_ids is None else shared_ids
        if moved or (kept, shared) != (list(row["origins"]), row["shared_ids"]):
            await conn.execute(sql("script_set"), script_id, site_id, kept, shared)
            return Change.MOVED if moved else Change.UPDATED
        return Change.UPDATED if site_changed else Change.UNCHANGED


async def _place_site(conn: Connection, site_id: int, org_id: int | None, *, move: bool) -> bool:
    """Create the site, and assign it to the organisation; return whether an existing site has changed."""
    if org_id is not None:
        await conn.execute(sql("org_add"), org_id)
    await conn.execute(sql("site_add"), site_id, org_id)
    present = await conn.fetchval(sql("site_lock"), site_id)
    if org_id is None or present == org_id:
        return False
    if present is not None and not move:
        raise InvalidInput(
            f"site {site_id} belongs to organisation {present}, not {org_id}; give --move to move the whole site"
        )
    await conn.execute(sql("site_set_org"), site_id, org_id)
    return True


async def set_enabled(dsn: str, script_id: str, *, enabled: bool) -> Change:
    """Enable or disable a script; raises InvalidInput if it is not registered."""
    _check(script_id)
    async with changing(dsn, "changing a script") as conn:
        if (await lock_script(conn, script_id))["enabled"] == enabled:
            return Change.UNCHANGED
        await conn.execute(sql("script_enable"), script_id, enabled)
        return Change.ENABLED if enabled else Change.DISABLED


async def lock_script(conn: Connection, script_id: str) -> Any:
    """Lock the row of a script against changes, and return it; raises InvalidInput if the script is not registered."""
    if (row := await conn.fetchrow(sql("script_lock"), script_id)) is None:
        raise InvalidInput(f"script {script_id!r} is not registered; see `bridge script list`")
    return row


async def list_scripts(dsn: str, *, site_id: int | None = None) -> list[ScriptRow]:
    """Return the scripts of one site or of all, ordered by site and script."""
    if site_id is not None:
        _check("any", site_id=site_id)
    async with asking(dsn, "reading the registry") as conn:
        return [ScriptRow(*row.values()) for row in await conn.fetch(sql("scripts_list"), site_id)]


@asynccontextmanager
async def asking(
    dsn: str, doing: str, *, then: Callable[[Connection], Awaitable[None]] | None = None
) -> AsyncIterator[Connection]:
    """Open a transaction; Postgres' errors become PreconditionFailed, also that of a wait for a lock.

    `doing` names the action, for error messages. `then` is called with the connection after the commit.
    """
    try:
        async with connection(dsn, "registry admin") as conn:
            async with conn.transaction():
                yield conn
            if then is not None:
                await then(conn)
    except (SinkUnavailable, RowRejected) as error:
        raise PreconditionFailed(refusal(error, f"for {doing}")) from error


@asynccontextmanager
async def changing(dsn: str, doing: str) -> AsyncIterator[Connection]:
    """Open a transaction for changes of the registry of scripts; it waits for locks as in `asking`.

    The history of the registry records the account that makes the changes. After the commit, the processes that keep a
    copy of the registry are notified.
    """
    async with asking(dsn, doing, then=tell_of_change) as conn:
        await sign_changes(conn)
        yield conn


def _check(script_id: str, *, site_id: int = 1, org_id: int | None = None) -> None:
    """Raise InvalidInput unless the ids of script, site and organisation are ids that a raw event may have."""
    if not 1 <= len(script_id) <= MAX_SCRIPT_ID or not script_id.isprintable():
        raise InvalidInput(f"script id {script_id!r} must be 1 to {MAX_SCRIPT_ID} printable characters")
    for name, number in (("site", site_id), ("organisation", org_id)):
        if number is not None and not 1 <= number <= MAX_INTEGER:
            raise InvalidInput(f"{name} {number} must be a number from 1 to {MAX_INTEGER}")
