"""Rows of query results as values."""

from typing import Any, NamedTuple, TypeVar

from schemas.pipeline.record import Provenance, TopicPartition

N = TypeVar("N", bound=NamedTuple)


def named(kind: type[N], row: Any, **own: Any) -> N:
    """Return the row as a value whose fields have the names of columns; `own` are the fields that are no columns."""
    return kind._make(own[name] if name in own else row[name] for name in kind._fields)


def provenance_of(row: Any) -> Provenance:
    """Return the provenance (topic, partition and offset of the raw record) in a row of the ledger."""
    return Provenance(row["raw_topic"], row["raw_partition"], row["raw_offset"])


def partition_of(row: Any) -> TopicPartition:
    """Return the partition in a row about a log."""
    return TopicPartition(row["topic"], row["partition"])
