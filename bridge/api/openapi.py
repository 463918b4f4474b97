"""The OpenAPI document: FastAPI's description of the routes, and the schemas of documents that have no model."""

from datetime import datetime
from types import UnionType
from typing import Any, Final, NamedTuple, get_args, get_origin, get_type_hints

from fastapi import FastAPI

from bridge.api.answers import ALWAYS, WITH_A_BODY
from bridge.api.middleware import GUARDED
from bridge.http.openapi import ID_HEADERS, object_of, problem_schema, reference
from bridge.http.problems import Code
from schemas.api_token import Role
from schemas.documents.dead_letter_filter import Disposition
from schemas.documents.replay import Outcome, PlanLine, PlanReport
from schemas.pipeline.record import Provenance
from schemas.pipeline.sender import Sender
from schemas.reasons import DroppedReason, ErrorClass
from sinks.postgres.dead_letters.groups import Duplicates, Guessed, Owner, Repeated
from sinks.postgres.dead_letters.letter import DeadLetterLine
from sinks.postgres.dead_letters.lives import Life

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_NUMBER: Final[dict[str, Any]] = {"type": "integer"}
_FLAG: Final[dict[str, Any]] = {"type": "boolean"}
_MOMENT: Final[dict[str, Any]] = {"type": "string", "format": "date-time"}
_TYPES: Final = {str: _TEXT, Provenance: _TEXT, int: _NUMBER, bool: _FLAG, datetime: _MOMENT}
_OTHERS: Final = (
    Code.INVALID_REQUEST, Code.FILTER_NEEDED, Code.ROLE_TOO_LOW, Code.UNKNOWN_DEAD_LETTER, Code.UNKNOWN_PLAN,
    Code.PLAN_CANCELLED, Code.PLAN_SENT, Code.PLAN_RUNNING, Code.ANOTHER_RUN, Code.TOO_MANY_RUNS, Code.TOO_MANY_PLANS,
    Code.RUN_FAILED,
    Code.NOT_FOUND, Code.METHOD_NOT_ALLOWED,
)  # fmt: skip


def document_of(app: FastAPI) -> dict[str, Any]:
    """Return the complete document."""
    document = app.openapi()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path.startswith(GUARDED):
                operation["security"] = [{"token": []}]
            for answer in operation["responses"].values():
                answer.setdefault("headers", ID_HEADERS)
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(_schemas())
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "a token of `bridge api token create`"}
    }
    return document


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _list_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


def _counts() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": _NUMBER}


def _fields(kind: type[NamedTuple]) -> dict[str, Any]:
    """Return the properties of the document that has these fields, as far as their types describe them."""
    return {name: _of_type(hint) for name, hint in get_type_hints(kind).items()}


def _of_type(hint: Any) -> dict[str, Any]:
    if (plain := _TYPES.get(hint)) is not None:
        return plain
    if isinstance(hint, UnionType):
        return _nullable(_of_type(get_args(hint)[0]))
    return _list_of(_of_type(*get_args(hint))) if get_origin(hint) is list else {"enum": list(hint)}


def _schemas() -> dict[str, Any]:
    disposition = _nullable({"enum": list(Disposition)})
    line = _fields(DeadLetterLine) | {
        "dropped_reason": {"enum": list(DroppedReason)}, "error_class": {"enum": list(ErrorClass)},
        "disposition": disposition, "sender": _nullable({"enum": list(Sender)}),
    }  # fmt: skip
    encoding = _nullable({"enum": ["utf-8", "base64"]})
    whole = line | {
        "received_at": _MOMENT, "record_time": _MOMENT, "first_failed_at": _MOMENT, "changed_at": _MOMENT,
        "replay_id": _nullable(_TEXT), "discarded_by": _nullable(_TEXT), "key": _nullable(_TEXT),
        "key_encoding": encoding, "payload": _nullable(_TEXT), "payload_encoding": encoding,
        "headers": _list_of(object_of({"name": _TEXT, "value": _nullable(_TEXT), "encoding": encoding})),
        "lives": _list_of(reference("Life")),
    }  # fmt: skip
    group = {
        "cause": _TEXT, "message": _TEXT, "dead_letters": _NUMBER, "share_pct": {"type": "number"},
        "first_at": _MOMENT, "last_at": _MOMENT, "since": _MOMENT, "hours": _list_of(_NUMBER), "dropped_reason": _TEXT,
        "error_class": _TEXT, "example": reference("DeadLetterLine"), "owners": _list_of(object_of(_fields(Owner))),
        "sites": _NUMBER, "persisted": _NUMBER, "looked_up": _NUMBER, "guesses": _list_of(object_of(_fields(Guessed))),
    }  # fmt: skip
    return {
        "DeadLetterLine": object_of(line),
        "DeadLetter": object_of(whole),
        "Life": object_of(_fields(Life) | {"disposition": disposition}),
        "Page": object_of({"total": _NUMBER, "next": _nullable(_TEXT), "dead_letters": _list_of(reference("DeadLetterLine"))}),
        "Groups": object_of({"total": _NUMBER, "causes": _NUMBER, "groups": _list_of(object_of(group)),
                             "repeated": _list_of(object_of(_fields(Repeated))), "repeated_events": _NUMBER, "duplicates": _NUMBER,
                             "duplicate_replays": _NUMBER,
                             "duplicates_by_script": _list_of(object_of(_fields(Duplicates)))}),
        "Begun": object_of({"replay_id": _TEXT, "plan_id": _TEXT, "run_id": _TEXT}),
        "Problem": problem_schema({*ALWAYS, *WITH_A_BODY, *_OTHERS}),
    } | _plans() | _tokens()  # fmt: skip


def _plans() -> dict[str, Any]:
    plan = _fields(PlanLine)
    corrected = plan.pop("corrected")
    status = plan | {
        "filter": {"type": "object"}, "corrections": _list_of({"type": "object"}), "report": reference("PlanReport"),
        "last_position": _NUMBER,
        "running": _FLAG, "resumable": _FLAG, "outcomes": _counts(), Outcome.DROPPED.value: _counts(),
        Outcome.SKIPPED.value: _counts(),
    }  # fmt: skip
    report = PlanReport.model_json_schema(ref_template="#/components/schemas/{model}")
    parts: dict[str, Any] = report.pop("$defs", {})
    return parts | {
        "PlanReport": report,
        "Plan": object_of(status),
        "Plans": object_of({"plans": _list_of(object_of(plan | {"corrected": corrected}))}),
    }


def _tokens() -> dict[str, Any]:
    token = {
        "name": _TEXT, "key_id": _TEXT, "role": {"enum": list(Role)}, "org_id": _nullable(_NUMBER),
        "state": {"enum": ["active", "expired", "revoked"]}, "created_at": _MOMENT, "created_by": _TEXT,
        "expires_at": _nullable(_MOMENT), "last_used_at": _nullable(_MOMENT), "revoked_at": _nullable(_MOMENT),
        "revoked_by": _nullable(_TEXT),
    }  # fmt: skip
    me = {
        "name": _TEXT, "role": {"enum": list(Role)}, "may": _TEXT, "org_id": _nullable(_NUMBER),
        "expires_at": _nullable(_MOMENT),
    }  # fmt: skip
    return {"Me": object_of(me), "Tokens": object_of({"tokens": _list_of(object_of(token))})}
