"""A reader of the DLQ, as readers outside this repository write it by the contract."""

import base64

from schemas.errors import InvalidInput
from schemas.instants import instant
from schemas.kafka import headers as names
from schemas.kafka.dead_letter import DeadLetter, DeadLetterHeader
from schemas.kafka.headers import Headers, last, last_int, last_place
from schemas.pipeline.record import Provenance, RawRecord
from schemas.reasons import DroppedReason, ErrorClass

_MAX_EPOCH_MS = 253_402_300_799_999  # the last millisecond of year 9999


def read_dead_letter(record: RawRecord) -> DeadLetter:
    """Read a record of the DLQ; raises InvalidInput if this product did not write it."""
    where = f"{record.topic}:{record.partition}:{record.offset}"
    headers = record.headers
    start = last_place(headers, names.PROVENANCE)
    if start is None:
        raise InvalidInput(
            f"{where} is not a dead letter: it has no header {names.PROVENANCE}; read only the DLQ topic"
        )
    own, original = headers[start:], headers[:start]
    # Kafka accepts no record whose key and value are both null. Empty bytes and this header represent it.
    emptied = last(own, names.NULL) is not None
    omitted = (last(own, names.OMITTED) or "").split(",")
    try:
        return DeadLetter(
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


def decoded(text: str | None) -> bytes | None:
    """Return the bytes of a dead letter's key or value."""
    return None if text is None else base64.b64decode(text)


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
