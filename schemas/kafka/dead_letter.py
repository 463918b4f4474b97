"""A dead letter for its readers: the raw record and the reason for the drop."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from schemas.reasons import DroppedReason, ErrorClass

Base64 = Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]


class DeadLetterHeader(BaseModel, frozen=True):
    """One header of the raw record, byte for byte; a null value is None."""

    name: str
    value: Base64 | None


class DeadLetter(BaseModel, frozen=True):
    """One record of the DLQ. Times are aware and in UTC. `headers` are the raw record's own, in their order.

    A record is valid only if the ledger has the same data for its `provenance`: a crash may leave a second copy.
    """

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
