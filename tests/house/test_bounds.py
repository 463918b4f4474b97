"""Bounds of texts: the schema bounds each text that a service's account may write, also in tables added later."""

import re

from schemas.config.service import PROCESSES
from sinks.postgres.schema.check import expected_catalogue
from sinks.postgres.schema.privileges import needed_privileges

UNBOUNDED_TYPE = re.compile(r"(text|character varying|bytea|jsonb?)(\[\])?( |$)")


def written_texts() -> set[tuple[str, str]]:
    """List pairs of relation and column: all columns of tables with INSERT, and the columns that a service updates."""
    catalogue = expected_catalogue()
    found = set()
    for service in PROCESSES:
        for one in needed_privileges(catalogue, service):
            if one.name not in ("INSERT", "UPDATE"):
                continue
            for name, kind in catalogue[one.relation].items():
                column = name.removeprefix(f"column {one.relation}.")
                if name.startswith("column ") and one.column in ("", column) and UNBOUNDED_TYPE.match(kind):
                    found.add((one.relation, column))
    return found


def is_bounded(relation: str, column: str) -> bool:
    """Whether the column has a maximum length, a list of values, or a pattern of bounded length."""
    checks = " ".join(text for name, text in expected_catalogue()[relation].items() if name.startswith("check "))
    lengths = rf"(octet_length|pg_column_size|length)\({column}(::text)?\) (<=|=) \d+"
    return (
        re.search(rf"{lengths}|\b{column} = ANY \(ARRAY\[|\b{column} ~ '\^\[a-z\]\[\S+\{{0,62\}}\$'", checks)
        is not None
    )


def test_each_text_that_a_service_writes_is_bounded() -> None:
    """One unbounded row would fill the memory of each reader."""
    written = written_texts()
    assert {"bridge_event", "bridge_event_raw", "stream_offset", "replay", "brake"} <= {one for one, _ in written}
    assert sorted(f"{one}.{column}" for one, column in written if not is_bounded(one, column)) == []
