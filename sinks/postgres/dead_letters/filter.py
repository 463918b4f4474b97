"""The filter of dead letters as SQL: conditions on the ledger (the table of failed events), and the bound values.

The conditions use the alias `l` for the ledger.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from schemas.documents.dead_letter_filter import CAUSE_DIGITS, UNREADABLE_SITE, DeadLetterFilter, ascii_lower
from schemas.errors import InvariantViolation
from schemas.pipeline.record import Provenance
from schemas.reasons import DroppedReason
from sinks.postgres.ledger.rows import provenance_columns

MARK: Final = "/* conditions */ true"
"""The placeholder for conditions in a statement.

A statement in which it is not replaced selects every dropped event.
"""


class Conditions(NamedTuple):
    """The text of a WHERE clause, and the values of its `$n` in order."""

    text: str
    parameters: tuple[Any, ...]

    def within(self, statement: str) -> str:
        """Return the statement with its placeholder replaced; raises InvariantViolation unless it has exactly one."""
        before, mark, after = statement.partition(MARK)
        if not mark or MARK in after:
            raise InvariantViolation(f"a statement over dead letters must hold `{MARK}` once: {statement[:60]!r}")
        return f"{before}{self.text}{after}"


def conditions(chosen: DeadLetterFilter, *, after: int = 0) -> Conditions:
    """Compile the filter to a WHERE clause; the statement's own parameters are `$1` to `$after`."""
    found = _Compilation(after)
    if set(chosen.dropped_reason or ()) != set(DroppedReason):
        found.one_of("l.dropped_reason", "text", chosen.dropped_reason)
    found.one_of("l.error_class", "text", chosen.error_class)
    found.one_of("l.script_id", "text", chosen.script_id)
    found.one_of("l.sender", "text", chosen.sender)
    found.one_of("l.cause", "bigint", None if chosen.cause is None else [cause_key(one) for one in chosen.cause])
    found.one_of("l.retry_count", "int", None if chosen.attempt is None else [one - 1 for one in chosen.attempt])
    if chosen.site_id is not None:
        found.site(chosen.site_id)
    if chosen.org_ids is not None:
        orgs = found.bind("bigint[]", list(chosen.org_ids))
        found.add(f"l.site_id IN (SELECT s.site_id FROM site AS s WHERE s.org_id = ANY ({orgs}))")  # noqa: S608  # the text inserted is a placeholder
    if chosen.event_id is not None:
        ids = found.bind("text[]", list(chosen.event_id))
        found.add(f"l.event_hash IN (SELECT hashtext(one::text) FROM unnest({ids}) AS one)")  # noqa: S608  # the text inserted is a placeholder
        found.add(f"l.event_id = ANY ({ids})")
    if chosen.provenance is not None:
        found.provenance([Provenance.parse(one) for one in chosen.provenance])
    if chosen.since is not None:
        found.add(f"l.outcome_at >= {found.bind('timestamptz', chosen.since)}")
    if chosen.until is not None:
        found.add(f"l.outcome_at < {found.bind('timestamptz', chosen.until)}")
    if chosen.text is not None:
        # Only ASCII letters are compared without case: for others, case depends on the database's locale.
        text = found.bind("text", ascii_lower(chosen.text))
        found.add(f'strpos(lower(l.last_error COLLATE "C"), {text}) > 0')
    found.disposition(chosen)
    return Conditions(" AND ".join(found.parts), tuple(found.values))


def query(statement: str, chosen: DeadLetterFilter, *own: Any) -> tuple[Any, ...]:
    """Return the statement with the filter's conditions, and the values of its parameters: `own`, then the filter's."""
    found = conditions(chosen, after=len(own))
    return (found.within(statement), *own, *found.parameters)


def exactly(provenance: Provenance) -> Conditions:
    """Return the conditions that select one raw event of the ledger (the failed events), regardless of its outcome."""
    return Conditions("(l.raw_topic, l.raw_partition, l.raw_offset) = ($1, $2, $3)", tuple(provenance))


class _Compilation:
    def __init__(self, after: int) -> None:
        self.parts = ["l.dropped_reason IS NOT NULL"]
        self.values: list[Any] = []
        self._after = after

    def add(self, condition: str) -> None:
        self.parts.append(condition)

    def bind(self, kind: str, value: Any) -> str:
        """Bind a value of the SQL type `kind` and return its placeholder."""
        self.values.append(value)
        return f"${self._after + len(self.values)}::{kind}"

    def one_of(self, column: str, kind: str, values: Sequence[Any] | None) -> None:
        if values is not None:
            self.add(self.equal(column, kind, values))

    def equal(self, column: str, kind: str, values: Sequence[Any]) -> str:
        # A single value is compared with =, because an index then still returns its rows in order.
        if len(values) == 1:
            return f"{column} = {self.bind(kind, values[0])}"
        return f"{column} = ANY ({self.bind(f'{kind}[]', list(values))})"

    def site(self, site_ids: Sequence[int]) -> None:
        readable = [one for one in site_ids if one != UNREADABLE_SITE]
        options = [self.equal("l.site_id", "bigint", readable)] if readable else []
        if len(readable) < len(site_ids):
            options.append("l.site_id IS NULL")
        self.add(f"({' OR '.join(options)})")

    def provenance(self, places: Sequence[Provenance]) -> None:
        topics, partitions, offsets = provenance_columns(list(places))
        rows = ", ".join((self.bind("text[]", topics), self.bind("int[]", partitions), self.bind("bigint[]", offsets)))
        self.add(f"(l.raw_topic, l.raw_partition, l.raw_offset) IN (SELECT * FROM unnest({rows}))")  # noqa: S608  # the texts inserted are placeholders

    def disposition(self, chosen: DeadLetterFilter) -> None:
        if set(chosen.dropped_reason or ()) == {DroppedReason.DUPLICATE_EVENT_ID}:
            return
        if chosen.disposition is not None:
            fits = self.equal("l.disposition", "text", chosen.disposition)
            self.add(f"({fits} OR l.disposition IS NULL)" if chosen.asks_for_duplicates else fits)
        elif not chosen.asks_for_duplicates:
            self.add("l.disposition IS NOT NULL")


def cause_key(cause: str) -> int:
    """Return the number as which the database stores a cause's key; raises InvariantViolation for a key's prefix.

    A cause is the group of dead letters with one reason and one normalised message.
    """
    if len(cause) != CAUSE_DIGITS:
        raise InvariantViolation(f"{cause!r} is the beginning of a cause's key; resolve it to the key before the query")
    return int.from_bytes(bytes.fromhex(cause), signed=True)


def cause_range(beginning: str) -> tuple[int, int]:
    """Return the lowest and the highest number as which keys of causes with this prefix are stored.

    The stored numbers are signed, and the sign is in the key's first digit.
    """
    return cause_key(beginning.ljust(CAUSE_DIGITS, "0")), cause_key(beginning.ljust(CAUSE_DIGITS, "f"))


def cause_name(key: int) -> str:
    """Return a cause's key as 16 hexadecimal digits, the form that people see."""
    return key.to_bytes(8, signed=True).hex()
