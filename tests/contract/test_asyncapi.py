"""The AsyncAPI document is valid against the specification's schema and matches the records that are written."""

import copy
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.events.making import body, record

from bridge.reference.documents import contracts
from schemas.instants import instant
from schemas.kafka import headers as names
from schemas.pipeline.outcome import Attempt, Failure
from schemas.pipeline.record import Provenance
from schemas.reasons import DroppedReason, ErrorClass
from sinks.kafka.publisher import copy_headers

DOCUMENT: dict[str, Any] = contracts()["asyncapi"]
# From github.com/asyncapi/spec-json-schemas, Apache License 2.0.
SPECIFICATION = Path(__file__).parent / "asyncapi-3.0.0.schema.json.gz"


def by_the_specification() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads(gzip.decompress(SPECIFICATION.read_bytes())))


def test_the_document_is_valid() -> None:
    """The document passes the schema that AsyncAPI publishes, and a broken one fails."""
    wrong = copy.deepcopy(DOCUMENT)
    wrong["operations"]["judge"]["action"] = "shout"

    assert [error.message for error in by_the_specification().iter_errors(DOCUMENT)] == []
    assert not by_the_specification().is_valid(wrong)


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_every_reference_leads_somewhere() -> None:
    """Each JSON pointer resolves within the document."""
    found = set(references(DOCUMENT))
    for reference in found:
        place: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]

    assert len(found) > 10


def test_every_topic_is_a_channel_and_every_header_is_said() -> None:
    """The document lists every declared topic and header."""
    declared = {topic["name"]: topic for topic in contracts()["topics"]}
    said = {
        name
        for message in DOCUMENT["components"]["messages"].values()
        for name in message.get("headers", {}).get("properties", {})
    }

    assert set(DOCUMENT["channels"]) == set(declared)
    for name, channel in DOCUMENT["channels"].items():
        binding = channel["bindings"]["kafka"]
        assert (binding["partitions"], binding["replicas"]) == (
            declared[name]["partitions"],
            declared[name]["replication"],
        )
    assert said == set(contracts()["headers"]["names"].values())


def schema_of(message: str, part: str) -> dict[str, Any]:
    """The part of a message as a self-contained JSON Schema."""
    return {**DOCUMENT["components"]["messages"][message][part], "components": DOCUMENT["components"]}


@pytest.mark.parametrize(("message", "dropped"), [("retry", None), ("deadLetter", DroppedReason.SCHEMA_VIOLATION)])
def test_headers_are_those_that_the_stream_writes(message: str, dropped: DroppedReason | None) -> None:
    """Written records have all required headers, valid values and no undeclared header."""
    failure = Failure(
        attempt=Attempt(
            record=record(77, b"{}", headers=[(names.REQUEST_ID, b"req-1"), (names.SITE_ID, b"7")]),
            provenance=Provenance("t.raw", 3, 77),
            number=1,
            received_at=instant(1_760_000_000_123),
            first_failed_at_ms=1_760_000_001_456,
            minute=0,
        ),
        error_class=ErrorClass.SCHEMA_VIOLATION,
        error="no",
        dropped_reason=dropped,
        due_at_ms=None if dropped else 1_760_000_009_000,
        retry_topic=None if dropped else "t.retry.1s",
    )
    written = {name: (value or b"").decode() for name, value in copy_headers(failure)}
    schema = schema_of(message, "headers")

    jsonschema.validate(written, schema)
    assert set(written) <= set(schema["properties"])
    for name in schema["required"]:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({key: value for key, value in written.items() if key != name}, schema)


def test_a_sound_event_fits_its_message() -> None:
    """A valid event passes, and one without an id fails."""
    schema = schema_of("rawEvent", "payload")
    jsonschema.validate(json.loads(body()), schema)

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(body(event_id="")), schema)
