"""The history of the registry of scripts: who changed which script, site, organisation, token or pause, and how."""

from datetime import datetime
from typing import Any, NamedTuple

from schemas.errors import InvalidInput
from sinks.postgres.connection import Connection, connection
from sinks.postgres.kept_json import kept_object
from sinks.postgres.runs.history import started_by
from sinks.postgres.statements import sql


class RegistryChange(NamedTuple):
    """A row of the table `registry_change`: one change of the registry.

    `old` has the values of the changed columns before the change, `new` those after it. `old` is empty for an addition,
    `new` for a removal. `changed_by` is the name that the account gave, or None. `written_by` is the database account.
    """

    written_at: datetime
    subject: str
    change: str
    name: str
    script_id: str | None
    site_id: int | None
    org_id: int | None
    changed_by: str | None
    written_by: str
    reason: str | None
    old: dict[str, Any]
    new: dict[str, Any]


async def sign_changes(conn: Connection, reason: str = "") -> None:
    """Set the author and the reason with which the open transaction's changes of scripts or sites are recorded."""
    await conn.execute(sql("registry_change_by"), started_by(), reason)


async def list_changes(dsn: str, script_id: str | None, since: datetime | None, limit: int) -> list[RegistryChange]:
    """Return at most `limit` changes of the registry of scripts since `since`, the newest first.

    With `script_id`, return only changes of this script, of the sites that it has belonged to, and of their
    organisations. Raises InvalidInput for a script that is neither registered nor in the history.
    """
    async with connection(dsn, "history") as conn:
        rows = await conn.fetch(sql("registry_changes"), script_id, since, limit)
        if not rows and script_id is not None and not await conn.fetchval(sql("script_known"), script_id):
            raise InvalidInput(f"script {script_id!r} is not registered and has no history; see `bridge script list`")
    return [RegistryChange(**{**row, "old": kept_object(row["old"]), "new": kept_object(row["new"])}) for row in rows]
