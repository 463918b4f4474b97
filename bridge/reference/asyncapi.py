"""The topics as an AsyncAPI 3 document: the messages on each topic, and their headers."""

import copy
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

from schemas.config.settings import Settings
from schemas.kafka import headers as names
from schemas.kafka.topics import TopicSpec
from schemas.pipeline.sender import Sender
from schemas.reasons import DroppedReason, ErrorClass

VERSION: Final = "3.0.0"
_BINDING: Final = "0.5.0"
_SCHEMAS: Final = "#/components/schemas/"
_KEY: Final = (
    "site_id and event_id, joined by a colon, so that duplicates meet in one partition; another key or none is accepted"
)

Document = dict[str, Any]

_HEADERS: Final[Mapping[str, Document]] = {
    names.PROVENANCE: {"description": "topic:partition:offset of the raw event"},
    names.ATTEMPT: {"description": "which attempt this record is for, or which was the last", "pattern": "^[0-9]+$"},
    names.DUE_AT: {"description": "when it is due, in milliseconds since the epoch", "pattern": "^[0-9]+$"},
    names.RECEIVED_AT: {"description": "when it was received, in milliseconds since the epoch", "pattern": "^[0-9]+$"},
    names.ERROR_CLASS: {"enum": [error.value for error in ErrorClass]},
    names.ERROR: {"description": f"what went wrong, at most {names.ERROR_TEXT_BYTES} bytes"},
    names.FIRST_FAILED_AT: {"description": "in milliseconds since the epoch", "pattern": "^[0-9]+$"},
    names.DROPPED_REASON: {"enum": [reason.value for reason in DroppedReason]},
    names.ORIGINAL_TOPIC: {"description": "the topic that the raw event was written to"},
    names.NULL: {"description": "which of key and value were null, where Kafka could not take both as null"},
    names.OMITTED: {
        "description": "the parts that were left out because of the topic's size limit, each with its bytes: value,N or value,N,key,N,headers,N; the ledger holds it"
    },
    names.REPLAY_ID: {"description": "the replay that wrote it"},
    names.REPLAY_OF: {"description": "provenance of the dead letter that is replayed"},
    names.SITE_ID: {"description": "the script's site, by the gateway", "pattern": "^[0-9]+$"},
    names.SCRIPT_ID: {"description": "the script whose address was posted to, by the gateway"},
    names.ORIGIN: {"description": "the browser's origin, by the gateway"},
    names.EVENT_ID: {"description": "the id that the gateway assigned"},
    names.SENDER: {"enum": [Sender.VISITOR.value, Sender.SERVER.value]},
    names.PROOF: {"description": "the gateway's proof of these headers and the value; without it they are plain data"},
    names.REQUEST_ID: {"description": "the request that brought it"},
    names.TRACE_ID: {"description": "the trace that the request belongs to"},
    names.TRACEPARENT: {"description": "W3C trace context"},
}
_GATEWAY: Final = (
    names.SITE_ID, names.SCRIPT_ID, names.ORIGIN, names.EVENT_ID, names.RECEIVED_AT, names.SENDER, names.PROOF,
)  # fmt: skip
_PASSED_ON: Final = (names.REQUEST_ID, names.TRACE_ID, names.TRACEPARENT)
_REPLAY: Final = (names.REPLAY_ID, names.REPLAY_OF)
_COPY: Final = (
    names.PROVENANCE, names.ATTEMPT, names.RECEIVED_AT, names.ERROR_CLASS, names.ERROR, names.FIRST_FAILED_AT,
    names.ORIGINAL_TOPIC,
)  # fmt: skip


def asyncapi(contracts: Mapping[str, Document], specs: list[TopicSpec], settings: Settings) -> Document:
    """Return the document, made from the JSON Schemas (by name) and the declared topics."""
    topics = settings.topics
    carried = {
        topics.raw: ["rawEvent", "rawEventV2"],
        topics.dlq: ["deadLetter"],
        topics.gate: ["gateChange"],
        **{topic: ["retry"] for topic in topics.retries},
    }
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Ghostlink Bridge",
            "version": version("ghostlink-bridge"),
            "description": "Raw bridge events in, clean rows in Postgres out; what fails on the way, and the gate's verdicts.",
        },
        "defaultContentType": "application/json",
        "channels": {spec.name: _channel(spec, carried[spec.name]) for spec in specs},
        "operations": {
            "takeRawEvents": _operation("receive", topics.raw, "Raw events, as producers and the gateway write them."),
            "replayRawEvents": _operation("send", topics.raw, "Dead letters that an operator replays."),
            "deadLetter": _operation("send", topics.dlq, "Raw events that can't be normalised."),
            "judge": _operation("send", topics.gate, "Changes of the gate's verdict."),
            **{
                f"{verb}{topic.removeprefix(topics.prefix).title().replace('.', '')}": _operation(
                    action, topic, "Retries that are not due yet."
                )
                for topic in topics.retries
                for verb, action in (("put", "send"), ("take", "receive"))
            },
        },
        "components": {"messages": _messages(), "schemas": _schemas(contracts)},
    }


def _channel(spec: TopicSpec, messages: list[str]) -> Document:
    return {
        "address": spec.name,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "kafka": {
                "topic": spec.name,
                "partitions": spec.partitions,
                "replicas": spec.replication,
                "topicConfiguration": {
                    "cleanup.policy": spec.config["cleanup.policy"].split(","),
                    "retention.ms": int(spec.config["retention.ms"]),
                    "max.message.bytes": int(spec.config["max.message.bytes"]),
                },
                "bindingVersion": _BINDING,
            }
        },
    }


def _operation(action: str, topic: str, summary: str) -> Document:
    # A reference is a JSON pointer. The names of topics contain none of the characters that need an escape.
    return {"action": action, "channel": {"$ref": f"#/channels/{topic}"}, "summary": summary}


def _messages() -> Document:
    raw_headers = _header_schema(optional=(*_GATEWAY, *_PASSED_ON, *_REPLAY))
    bytes_of_raw = {"description": "the raw event's value, byte for byte; it need not be JSON"}
    # Of the headers of the last retry, a dead letter only has those that are listed here.
    passed_on = (*_PASSED_ON, *_GATEWAY[:-1], *_REPLAY, names.NULL, names.OMITTED)
    return {
        "rawEvent": _message("A raw event, schema_version 1", {"$ref": _SCHEMAS + "raw_event_v1"}, raw_headers, _KEY),
        "rawEventV2": _message("A raw event, schema_version 2", {"$ref": _SCHEMAS + "raw_event_v2"}, raw_headers, _KEY),
        "retry": _message(
            "A raw event that waits for its next attempt",
            bytes_of_raw,
            _header_schema(required=(*_COPY, names.DUE_AT), optional=passed_on),
            "the raw event's key",
        ),
        "deadLetter": _message(
            "A raw event that was dropped, and why; it is valid only if the ledger has the same for its provenance",
            bytes_of_raw,
            _header_schema(required=(*_COPY, names.DROPPED_REASON), optional=passed_on),
            "the raw event's key",
        ),
        "gateChange": _message(
            "A change of verdict", {"$ref": _SCHEMAS + "gate_change"}, None, "the target, such as site:7"
        ),
    }


def _message(title: str, payload: Document, headers: Document | None, key: str) -> Document:
    message: Document = {
        "title": title,
        "payload": payload,
        "bindings": {"kafka": {"key": {"type": "string", "description": key}, "bindingVersion": _BINDING}},
    }
    return message if headers is None else {**message, "headers": headers}


def _header_schema(*, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> Document:
    properties = {name: {"type": "string", **_HEADERS[name]} for name in (*required, *optional)}
    schema: Document = {"type": "object", "properties": properties}
    return schema | ({"required": list(required)} if required else {})


def _schemas(contracts: Mapping[str, Document]) -> Document:
    """Return the schemas of the payloads by name, with the definitions inside a schema moved to the same level."""
    schemas: Document = {}
    for name in ("raw_event_v1", "raw_event_v2", "gate_change"):
        schema = copy.deepcopy(contracts[name])
        schemas.update(schema.pop("$defs", {}))
        schemas[name] = schema
    return {name: _with_references(schema) for name, schema in schemas.items()}


def _with_references(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            name: value.replace("#/$defs/", _SCHEMAS) if name == "$ref" else _with_references(value)
            for name, value in part.items()
        }
    return [_with_references(one) for one in part] if isinstance(part, list) else part
