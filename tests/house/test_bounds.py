"""Bounds of texts: the schema bounds each text that a service's account may write, also in tables added later."""

import re

from schemas.config.service import PROCESSES
from sinks.postgres.schema.check import expected_catalogue
from sinks.postgres.schema.privileges import needed_privileges

UNBOUNDED_TYPE = re.compile(r"(text|character varying|bytea|jsonb?)(\[\])?( |$)")


def written_texts() -> set[tuple[str, str, str]]:
    """List relation, column and statement: all columns of tables with INSERT, and the columns that a service updates."""
    catalogue = expected_catalogue()
    found = set()
    for service in PROCESSES:
        for one in needed_privileges(catalogue, service):
            if one.name not in ("INSERT", "UPDATE"):
                continue
            for name, kind in catalogue[one.relation].items():
                column = name.removeprefix(f"column {one.relation}.")
                if name.startswith("column ") and one.column in ("", column) and UNBOUNDED_TYPE.match(kind):
                    found.add((one.relation, column, one.name))
    return found


def is_bounded(relation: str, column: str, statement: str) -> bool:
    """Whether a check, or a trigger of the statement, has a maximum length, a list of values or a bounded pattern."""
    described = expected_catalogue()[relation].items()
    checks = " ".join(text for name, text in described if name.startswith("check "))
    lengths = rf"(octet_length|pg_column_size|length)\({column}(::text)?\) (<=|=) \d+"
    if re.search(rf"{lengths}|\b{column} = ANY \(ARRAY\[|\b{column} ~ '\^\[a-z\]\[\S+\{{0,62\}}\$'", checks):
        return True
    length = rf"octet_length\(new\.{column}\) <= \d+"
    refusing = {
        "INSERT": rf" AFTER INSERT ON .* WHEN \(\(NOT \((?:\(octet_length\(new\.\w+\) <= \d+\) AND )*\({length}\)",
        "UPDATE": rf" BEFORE UPDATE OF (?:\w+, )*{column}\b.* WHEN .*"
        rf"\(\(NOT \({length}\)\) AND \(new\.{column} IS DISTINCT FROM old\.{column}\)\)",
    }[statement]
    triggers = [text for name, text in described if name.startswith("trigger ") and "keep_limits(" in text]
    return any(re.search(refusing, text) for text in triggers)


def test_each_text_that_a_service_writes_is_bounded() -> None:
    """One unbounded row would fill the memory of each reader."""
    written = written_texts()
    assert {"bridge_event", "bridge_event_raw", "stream_offset", "replay", "brake"} <= {one for one, _, _ in written}
    assert {statement for _, _, statement in written} == {"INSERT", "UPDATE"}
    assert sorted(" ".join(one) for one in written if not is_bounded(*one)) == []
