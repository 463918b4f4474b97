"""What an archive of events has: its columns, and the sums and digests of its rows."""

from datetime import datetime
from enum import Enum
from typing import NamedTuple


class ColumnKind(Enum):
    """How the values of a column are kept in Parquet."""

    TIME = "time"  # microseconds in UTC
    BIGINT = "bigint"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DECIMAL = "decimal"  # exact, with the column's precision and scale
    TEXT = "text"
    AS_TEXT = "as_text"  # of another type, by the text that Postgres shows


class ArchiveColumn(NamedTuple):
    """A column of `bridge_event`. `type` is as Postgres writes it, such as `numeric(21,6)`."""

    name: str
    type: str
    nullable: bool


class HourSums(NamedTuple):
    """The rows of one raw partition and hour: their numbers and offsets, and the SHA-256 of their digests in order.

    `at_once` is the number of events that were persisted at their first attempt. `bytes` is the size in Postgres.
    """

    topic: str
    partition: int
    hour: datetime
    rows: int
    at_once: int
    first_offset: int
    last_offset: int
    sha256: bytes
    bytes: int = 0


class PartitionSums(NamedTuple):
    """The rows of one raw partition. `sha256` is the digest of its hours' digests in order."""

    topic: str
    partition: int
    rows: int
    at_once: int
    first_offset: int
    last_offset: int
    sha256: str
    bytes: int = 0


class ArchivedPart(NamedTuple):
    """A verified part of a month's archive, against which the stored rows are compared.

    `archived_as` is how closing entries name it.
    """

    archived_as: str
    columns: tuple[ArchiveColumn, ...]
    partitions: tuple[PartitionSums, ...]
