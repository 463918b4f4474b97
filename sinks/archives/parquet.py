"""Parquet files of archived rows: written in row groups as the rows come, and read back in small batches.

pyarrow is imported by the functions that need it: it is an optional dependency, and takes a second to load.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import IO, Any, Final

from schemas.errors import Damaged, InvalidInput, PreconditionFailed
from schemas.pipeline.archive import ArchiveColumn, ColumnKind
from sinks.archives.columns import decimals, kind_of
from sinks.archives.digests import Values

ROWS: Final = 20_000
"""The most rows of a row group."""
BYTES: Final = 32 << 20
"""About the most bytes of texts of a row group, if it has more than one batch of rows."""
_READ: Final = 2000
_TYPE: Final = b"postgres_type"


class _Written:
    """A file that keeps what is written until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, piece: Any) -> int:
        content = bytes(piece)
        self._pieces.append(content)
        self._size += len(content)
        return len(content)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        """Do nothing, because nothing is buffered twice."""

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def demand_pyarrow() -> None:
    """Raise PreconditionFailed if pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise PreconditionFailed(
            f"archives need pyarrow, which can't be loaded ({error}): install the product with its extra `archive`, such as "
            "pip install pyarrow"
        ) from error


async def parquet_file(
    columns: Sequence[ArchiveColumn], batches: AsyncIterator[Sequence[Values]], what: str
) -> AsyncIterator[bytes]:
    """Yield the content of a Parquet file with the rows, one row group in memory at a time.

    Raises InvalidInput for a value that has no equal in Parquet, such as NaN; `what` names the rows in the error.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    written, schema = _Written(), arrow_schema(columns)
    writer = pq.ParquetWriter(pa.PythonFile(written, "w"), schema, compression="zstd", version="2.6")
    try:
        rows: list[Values] = []
        size = 0
        async for batch in batches:
            rows += batch
            size += sum(len(value) for row in batch for value in row if isinstance(value, str))
            if len(rows) >= ROWS or size >= BYTES:
                await asyncio.to_thread(_write, writer, schema, columns, rows, what)
                rows, size = [], 0
                yield written.take()
        if rows:
            await asyncio.to_thread(_write, writer, schema, columns, rows, what)
    finally:
        writer.close()
    yield written.take()


def _write(writer: Any, schema: Any, columns: Sequence[ArchiveColumn], rows: list[Values], what: str) -> None:
    writer.write_batch(arrow_batch(schema, columns, rows, what), row_group_size=len(rows))


def arrow_schema(columns: Sequence[ArchiveColumn]) -> Any:
    """Return the Arrow schema of the columns; each field's metadata has the type in Postgres."""
    import pyarrow as pa

    return pa.schema(
        [pa.field(one.name, _arrow_type(one), one.nullable, {_TYPE: one.type.encode()}) for one in columns]
    )


def _arrow_type(column: ArchiveColumn) -> Any:
    import pyarrow as pa

    exact = decimals(column)
    if exact is not None:
        return pa.decimal128(*exact)
    simple: dict[ColumnKind, Callable[[], Any]] = {
        ColumnKind.TIME: lambda: pa.timestamp("us", tz="UTC"),
        ColumnKind.BIGINT: pa.int64,
        ColumnKind.INTEGER: pa.int32,
        ColumnKind.BOOLEAN: pa.bool_,
    }
    return simple.get(kind_of(column), pa.string)()


def arrow_batch(schema: Any, columns: Sequence[ArchiveColumn], rows: Sequence[Values], what: str) -> Any:
    """Return the rows as an Arrow batch; raises InvalidInput for a value without an equal in Parquet."""
    import pyarrow as pa

    arrays = []
    for field, column, values in zip(schema, columns, zip(*rows, strict=True), strict=True):
        try:
            arrays.append(pa.array(values, field.type))
        except (pa.ArrowException, OverflowError, ValueError) as error:
            raise InvalidInput(
                f"{what}: column {column.name} ({column.type}) has a value that Parquet can't keep: {error}; correct the row"
            ) from error
    return pa.record_batch(arrays, schema)


def read_rows(file: IO[bytes], columns: Sequence[ArchiveColumn], name: str) -> Iterator[list[Values]]:
    """Yield the rows of a Parquet file in small batches; raises Damaged if it is no such file, or has other columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as opened:
            if not opened.schema_arrow.equals(arrow_schema(columns)):
                raise Damaged(f"{name}: the file is damaged: its columns are not those of the manifest")
            for batch in opened.iter_batches(batch_size=_READ, use_threads=False):
                yield list(zip(*map(_values, batch.columns), strict=True))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Damaged(f"{name}: the file is damaged: {str(error).partition(chr(10))[0]}") from error


def _values(array: Any) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.int64())
    values: list[Any] = array.to_pylist()
    return values
