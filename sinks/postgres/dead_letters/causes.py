"""Resolution of causes from prefixes of their keys."""

from schemas.documents.dead_letter_filter import CAUSE_DIGITS, DeadLetterFilter
from sinks.postgres.connection import Connection
from sinks.postgres.dead_letters.filter import cause_name, cause_range
from sinks.postgres.dead_letters.reading import reading
from sinks.postgres.id_prefixes import MOST_NAMED, only
from sinks.postgres.statements import sql


async def with_whole_causes(dsn: str, chosen: DeadLetterFilter) -> DeadLetterFilter:
    """Return the filter with its causes' prefixes replaced by keys; raises InvalidInput where one is not unique.

    A prefix resolves the same regardless of the filter's other fields, except organisations: other organisations'
    causes stay undisclosed.
    """
    if not chosen.begins_causes:
        return chosen
    async with reading(dsn) as conn:
        keys = [await _key(conn, one, chosen.org_ids) for one in chosen.cause or ()]
    return chosen.model_copy(update={"cause": tuple(keys)})


async def _key(conn: Connection, cause: str, org_ids: tuple[int, ...] | None) -> str:
    if len(cause) == CAUSE_DIGITS:
        return cause
    rows = await conn.fetch(sql("causes_find"), *cause_range(cause), org_ids, MOST_NAMED + 1)
    return only("cause", cause, [cause_name(row["cause"]) for row in rows], "bridge dlq groups")
