"""Gate windows (rows with counts of one minute) in Postgres."""

from sinks.postgres.connection import Connection
from sinks.postgres.statements import sql
from sinks.windows import Windows, window_columns


async def add_to_windows(conn: Connection, changes: Windows) -> None:
    """Add these numbers, which may be negative, to the gate windows (rows with counts of one minute).

    The windows are locked in the order in which workers lock them.
    """
    if changes:
        await conn.execute(sql("windows_add"), *window_columns(changes))
