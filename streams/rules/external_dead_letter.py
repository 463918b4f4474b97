"""External dead letters (records that Spring or Kafka Connect wrote to a dead-letter topic); pure.

This module finds the original topic of such a record, and the raw record inside.
"""

from typing import Final, NamedTuple

from schemas.kafka import headers as names
from schemas.kafka.headers import Headers, last, last_int
from schemas.pipeline.record import Provenance, RawRecord
from streams.pipeline.processor import stated_provenance

_SPRING: Final = "kafka_dlt-"
_CONNECT: Final = "__connect.errors."
_ADDED: Final = (_SPRING, _CONNECT)


class ExternalDeadLetter(NamedTuple):
    """The raw record inside a dead letter, without the headers that were added when it was dead-lettered.

    The partition is None if no header has it. `provenance` (topic, partition and offset of the raw record) is set if
    this product wrote the dead letter. The ledger, the table of failed events, may then have a row for it. `is_whole`
    is False if the value exceeded the DLQ's limit. Only the ledger has the whole value then.
    """

    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int | None
    provenance: Provenance | None = None
    is_whole: bool = True


def original(record: RawRecord) -> ExternalDeadLetter:
    """Return the raw record inside a dead letter that this product, Spring or Kafka Connect has written.

    A record without their headers is returned as it is.
    """
    headers = record.headers
    provenance = stated_provenance(headers)
    if provenance is not None:
        place = max(index for index, (name, _) in enumerate(headers) if name == names.PROVENANCE)
        own = headers[place:]
        value = None if last(own, names.NULL) is not None else record.value
        whole = last(own, names.OMITTED) is None
        return ExternalDeadLetter(record.key, value, headers[:place], provenance.partition, provenance, whole)
    kept = [(name, value) for name, value in headers if not name.startswith(_ADDED)]
    return ExternalDeadLetter(record.key, record.value, kept, _partition(headers))


def _partition(headers: Headers) -> int | None:
    """Return the dead letter's original partition. Kafka Connect writes it as text, Spring as four bytes."""
    written = last_int(headers, f"{_CONNECT}partition")
    if written is not None and written < 2**31:
        return written
    number = next((value for name, value in reversed(headers) if name == f"{_SPRING}original-partition"), None)
    return int.from_bytes(number) if number is not None and len(number) == 4 else None
