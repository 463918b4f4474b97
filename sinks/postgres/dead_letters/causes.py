"""Resolution of causes from prefixes of their keys.

A cause is the group of dead letters with one reason and one normalised message; its key is 16 hexadecimal digits.
"""

from schemas.documents.dead_letter_filter import CAUSE_DIGITS, DeadLetterFilter
from sinks.postgres.connection import Connection
from sinks.postgres.dead_letters.filter import cause_name, cause_range
from sinks.postgres.dead_letters.reading import reading
from sinks.postgres.id_prefixes import MOST_NAMED, only
from sinks.postgres.statements import sql


async def with_whole_causes(dsn: str, chosen: DeadLetterFilter) -> DeadLetterFilter:
    """Return the filter of dead letters with each prefix of a cause's key replaced by the whole key.

    A cause is the group of dead letters with one reason and one normalised message. Raises InvalidInput for a prefix
    that no cause, or more than one cause, matches. Causes of organisations that the filter excludes are not found; the
    filter's other fields have no effect.
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
