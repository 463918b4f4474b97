"""The predicate of a filter of dead letters in Python, with which the tests compare the compiled SQL."""

from schemas.documents.dead_letter_filter import UNREADABLE_SITE, DeadLetterFilter, ascii_lower
from sinks.postgres.dead_letters.letter import DeadLetterLine
from support.events.dead_letters import DroppedRow


def selects(chosen: DeadLetterFilter, row: DroppedRow | DeadLetterLine) -> bool:
    """Return whether the filter selects this dropped event."""
    wanted = (
        (chosen.dropped_reason, row.dropped_reason),
        (chosen.error_class, row.error_class),
        (chosen.cause, row.cause),
        (chosen.site_id, UNREADABLE_SITE if row.site_id is None else row.site_id),
        (chosen.org_ids, row.org_id),
        (chosen.script_id, row.script_id),
        (chosen.sender, row.sender),
        (chosen.event_id, row.event_id),
        (chosen.provenance, str(row.provenance)),
        (chosen.attempt, row.attempt),
    )
    return (
        all(values is None or value in values for values, value in wanted)
        and (chosen.since is None or row.dropped_at >= chosen.since)
        and (chosen.until is None or row.dropped_at < chosen.until)
        and (chosen.text is None or ascii_lower(chosen.text) in ascii_lower(row.error))
        and _is_disposed(chosen, row.disposition)
    )


def _is_disposed(chosen: DeadLetterFilter, disposition: str | None) -> bool:
    if disposition is None:
        return chosen.asks_for_duplicates
    return chosen.disposition is None or disposition in chosen.disposition
