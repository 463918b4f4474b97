"""The OpenAPI document: FastAPI's routes, and the routes of scripts, which FastAPI does not know."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bridge.gateway.elements import LINES_TYPES
from bridge.http.openapi import ID_HEADERS, answer_of, object_of, problem_schema, reference, refusals
from bridge.http.problems import Code
from schemas.config.settings import Settings
from schemas.events.raw_event import MAX_EVENT_ID, RawEvent

_EVERYWHERE: Final = (
    Code.UNKNOWN_SCRIPT,
    Code.RATE_LIMITED,
    Code.OVERLOADED,
    Code.INTERNAL_ERROR,
    Code.HEADERS_TOO_LARGE,
)
_CREDENTIALS: Final = (
    Code.TOKEN_MISSING, Code.TOKEN_EXPIRED, Code.TOKEN_FORGED, Code.TOKEN_REVOKED, Code.TOKEN_WRONG_SCRIPT,
    Code.TOKEN_WRONG_ORIGIN, Code.ORIGIN_MISSING, Code.ORIGIN_NOT_ALLOWED, Code.SCRIPT_DISABLED,
)  # fmt: skip
_BODIES: Final = (
    Code.INVALID_PAYLOAD_JSON, Code.BODY_TIMEOUT, Code.BODY_TOO_LARGE, Code.TOO_MANY_EVENTS,
    Code.UNSUPPORTED_ENCODING, Code.NO_EVENTS,
)  # fmt: skip
_PUBLISHING: Final = (
    Code.INVALID_HEADER, Code.EVENT_TOO_LARGE, Code.IDEMPOTENCY_KEY_REUSED, Code.IDEMPOTENCY_KEY_IN_FLIGHT,
    Code.TOO_MANY_REFUSED, Code.KAFKA_UNAVAILABLE,
)  # fmt: skip
_CODES: Final = (
    *_EVERYWHERE, *_CREDENTIALS, *_BODIES, *_PUBLISHING, Code.SNIPPET_MISSING, Code.NOT_FOUND, Code.METHOD_NOT_ALLOWED
)  # fmt: skip
_ORIGINS: Final = (Code.ORIGIN_MISSING, Code.ORIGIN_NOT_ALLOWED, Code.SCRIPT_DISABLED)

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_PLAIN: Final = {"schema": _TEXT}
_SCRIPT: Final = {
    "name": "script_id",
    "in": "path",
    "required": True,
    "description": "the script's id, percent-encoded, as one segment of the path",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
}
_TOKEN: Final = {
    "name": "token",
    "in": "query",
    "required": False,
    "description": "an ingest token, for navigator.sendBeacon, which can't set headers",
    "schema": _TEXT,
}
_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "a request with the same key and body gets the same event ids, so its events count once",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
}


def completed(document: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return FastAPI's document with the routes of scripts, their schemas, and every refusal."""
    for path in document["paths"].values():
        for operation in path.values():
            for answer in operation["responses"].values():
                answer["headers"] = ID_HEADERS
    ready = document["paths"]["/ready"]["get"]["responses"]
    ready["503"] = answer_of("Kafka is unreachable, or the registry was never read", {"type": "object"})
    document["paths"]["/metrics"]["get"]["responses"]["200"]["content"] = {"text/plain": _PLAIN}
    document["paths"] |= {
        "/api/bridge/{script_id}/events": {"post": _events(settings)},
        "/api/bridge/{script_id}/events:validate": {"post": _validate()},
        "/bridge/{script_id}/token": {"post": _token()},
        "/bridge/{script_id}.js": {"get": _snippet()},
    }
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(_schemas(settings))
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "an API key (sk_…) or an ingest token (eyJ…)"},
        "token": {"type": "apiKey", "in": "query", "name": "token", "description": "an ingest token"},
    }
    return document


def _taking_events(parameters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the fields that the routes for events have in common."""
    texts = ["text/plain", *(kind.decode() for kind in LINES_TYPES)]
    content = {"application/json": {"schema": reference("Events")}} | dict.fromkeys(texts, _PLAIN)
    return {
        "parameters": parameters,
        "security": [{"bearer": []}, {"token": []}],
        "requestBody": {"required": True, "content": content},
    }


def _events(settings: Settings) -> dict[str, Any]:
    most = f"{settings.gateway_max_events} events and {settings.gateway_max_body_bytes} bytes after decompression"
    return {
        "tags": ["events"],
        "operationId": "post_events",
        "summary": "Send events",
        "description": 'One event, an array, `{"events": [...]}`, or NDJSON, plain or with gzip; at most '
        f"{most}. The response is 202 when Kafka has acknowledged the events. The stream checks their content later: see "
        "`events:validate`. A limited number of visitors' events that the stream will refuse is accepted a minute.",
        **_taking_events([_SCRIPT, _TOKEN, _KEY]),
        "responses": {"202": answer_of("Kafka has acknowledged each accepted event", reference("Receipt"))}
        | refusals(*_EVERYWHERE, *_CREDENTIALS, *_BODIES, *_PUBLISHING),
    }


def _validate() -> dict[str, Any]:
    return {
        "tags": ["events"],
        "operationId": "validate_events",
        "summary": "Show what the stream would do with events, and publish nothing",
        **_taking_events([_SCRIPT, _TOKEN]),
        "responses": {"200": answer_of("the result for each event", reference("Verdicts"))}
        | refusals(*_EVERYWHERE, *_CREDENTIALS, *_BODIES),
    }


def _token() -> dict[str, Any]:
    origin = {"name": "Origin", "in": "header", "required": False, "schema": _TEXT}
    return {
        "tags": ["browsers"],
        "operationId": "post_token",
        "summary": "Issue an ingest token to a page of an allowed origin",
        "parameters": [_SCRIPT, origin],
        "responses": {"200": answer_of("a token for this script and this origin", reference("Token"))}
        | refusals(*_EVERYWHERE, *_ORIGINS),
    }


def _snippet() -> dict[str, Any]:
    return {
        "tags": ["browsers"],
        "operationId": "get_snippet",
        "summary": "The browser's snippet",
        "parameters": [_SCRIPT],
        "responses": {
            "200": answer_of("JavaScript, the same for every script", _TEXT, "text/javascript"),
            "304": {"description": "the client's copy is current", "headers": ID_HEADERS},
        }
        | refusals(*_EVERYWHERE, Code.SNIPPET_MISSING),
    }


def _schemas(settings: Settings) -> dict[str, Any]:
    event = RawEvent.model_json_schema()
    event["additionalProperties"] = True
    # The gateway adds these three fields if they are absent.
    event["required"] = ["event_type", "occurred_at"]
    text, number = _TEXT, {"type": "integer", "minimum": 0}
    # This is the form that the stream requires. The gateway accepts every value; the stream judges it.
    one = reference("RawEvent")
    many = {"type": "array", "items": one, "minItems": 1, "maxItems": settings.gateway_max_events}
    result = {
        "index": number,
        "event_id": {"type": ["string", "null"], "maxLength": MAX_EVENT_ID},
        "status": {"enum": ["accepted", "rejected"]},
        "error_code": {"enum": [Code.EVENT_TOO_LARGE.value, Code.TOO_MANY_REFUSED.value]},
        "id_assigned": {"type": "boolean"},
        "message": {"type": "string", "description": "why the stream would refuse the event"},
    }
    verdict = {"index": number, "status": {"enum": ["valid", "invalid"]}, "error_code": text, "message": text,
               "violations": {"type": "array", "items": text}, "action": text, "event": {"type": "object"}}  # fmt: skip
    ids = {"request_id": text, "trace_id": text}
    return {
        "RawEvent": event,
        "Events": {"anyOf": [one, many, object_of({"events": many})]},
        "Receipt": object_of({"accepted": number, "rejected": number, "results": _list(result, 3)} | ids),
        "Verdicts": object_of({"valid": number, "invalid": number, "results": _list(verdict, 2)} | ids),
        "Token": object_of({"token": text, "expires_at": {"type": "string", "format": "date-time"}, "expires_in": number}),
        "Problem": problem_schema(_CODES),
    }  # fmt: skip


def _list(properties: dict[str, Any], required: int) -> dict[str, Any]:
    """Return the schema of an array of objects, in which the first `required` properties are required."""
    item = {"type": "object", "properties": properties, "required": list(properties)[:required]}
    return {"type": "array", "items": item}
