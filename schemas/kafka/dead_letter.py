"""A dead letter for its readers: the raw record and the reason for the drop."""

import base64
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import InvalidInput
from schemas.instants import instant
from schemas.kafka import headers as names
from schemas.kafka.headers import Headers, last, last_int
from schemas.pipeline.record import Provenance, RawRecord
from schemas.reasons import DroppedReason, ErrorClass

_MAX_EPOCH_MS = 253_402_300_799_999  # the last millisecond of year 9999

Base64 = Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]


class DeadLetterHeader(BaseModel):
    """One header of the raw record, byte for byte; a null value is None."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: Base64 | None


class DeadLetter(BaseModel):
    """One record of the DLQ. Times are aware and in UTC. `headers` are the raw record's own, in their order.

    A record is valid only if the ledger has the same data for its `provenance`: a crash may leave a second copy.
    """

    model_config = ConfigDict(frozen=True)

    topic: str = Field(description="the DLQ topic of this dead letter")
    partition: int
    offset: int
    dead_lettered_at: datetime = Field(description="the record's own time on the DLQ")
    provenance: str = Field(description="topic:partition:offset of the raw event")
    attempt: int = Field(ge=1, description="the attempt that failed last, from 1")
    dropped_reason: DroppedReason
    error_class: ErrorClass = Field(description="class of the last error")
    error: str = Field(description="text of the last error, at most 1 KiB")
    received_at: datetime
    first_failed_at: datetime
    key: Base64 | None = Field(description="the raw record's key")
    value: Base64 | None = Field(description="the raw record's value")
    headers: list[DeadLetterHeader]
    value_omitted: bool = Field(
        False, description="True if the DLQ refused a copy with the value; the ledger has the value"
    )
    key_omitted: bool = Field(False, description="True if the DLQ refused a copy with the key; the ledger has the key")
    headers_omitted: bool = Field(
        False, description="True if the DLQ refused a copy with the headers; the ledger has the headers"
    )

    @classmethod
    def from_record(cls, record: RawRecord) -> "DeadLetter":
        """Read a record of the DLQ; raises InvalidInput if this product did not write it."""
        where = f"{record.topic}:{record.partition}:{record.offset}"
        headers = record.headers
        start = next((i for i in range(len(headers) - 1, -1, -1) if headers[i][0] == names.PROVENANCE), None)
        if start is None:
            raise InvalidInput(
                f"{where} is not a dead letter: it has no header {names.PROVENANCE}; read only the DLQ topic"
            )
        own, original = headers[start:], headers[:start]
        # Kafka accepts no record whose key and value are both null. Empty bytes and this header represent it.
        emptied = last(own, names.NULL) is not None
        omitted = (last(own, names.OMITTED) or "").split(",")
        try:
            return cls(
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                dead_lettered_at=instant(max(record.timestamp, 0)),
                provenance=str(Provenance.parse(_text(own, names.PROVENANCE))),
                attempt=_number(own, names.ATTEMPT),
                dropped_reason=DroppedReason(_text(own, names.DROPPED_REASON)),
                error_class=ErrorClass(_text(own, names.ERROR_CLASS)),
                error=_text(own, names.ERROR),
                received_at=instant(_number(own, names.RECEIVED_AT)),
                first_failed_at=instant(_number(own, names.FIRST_FAILED_AT)),
                key=_encoded(record.key),
                value=None if emptied else _encoded(record.value),
                value_omitted="value" in omitted,
                key_omitted="key" in omitted,
                headers_omitted="headers" in omitted,
                headers=[DeadLetterHeader(name=name, value=_encoded(value)) for name, value in original],
            )
        except ValueError as error:
            raise InvalidInput(f"{where} is not a dead letter: {error}") from error

    def key_bytes(self) -> bytes | None:
        """Return the raw record's key, byte for byte."""
        return None if self.key is None else base64.b64decode(self.key)

    def value_bytes(self) -> bytes | None:
        """Return the raw record's value, byte for byte."""
        return None if self.value is None else base64.b64decode(self.value)


def _text(headers: Headers, name: str) -> str:
    text = last(headers, name)
    if text is None:
        raise ValueError(f"its header {name} is missing or not UTF-8")
    return text


def _number(headers: Headers, name: str) -> int:
    number = last_int(headers, name)
    if number is None or number > _MAX_EPOCH_MS:
        raise ValueError(f"its header {name} is not a number in range")
    return number


def _encoded(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()
