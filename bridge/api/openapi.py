"""The OpenAPI document: FastAPI's description of the routes, and the schemas of documents that have no model."""

from typing import Any, Final

from fastapi import FastAPI

from bridge.api.answers import ALWAYS, WITH_A_BODY
from bridge.api.middleware import GUARDED
from bridge.http.openapi import ID_HEADERS, object_of, problem_schema, reference
from bridge.http.problems import Code
from schemas.api_token import Role
from schemas.documents.dead_letter_filter import Disposition
from schemas.documents.replay import Outcome, PlanReport, PlanState
from schemas.pipeline.sender import Sender
from schemas.reasons import DroppedReason, ErrorClass
from sinks.postgres.dead_letters.lives import State

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_NUMBER: Final[dict[str, Any]] = {"type": "integer"}
_FLAG: Final[dict[str, Any]] = {"type": "boolean"}
_MOMENT: Final[dict[str, Any]] = {"type": "string", "format": "date-time"}
_OTHERS: Final = (
    Code.INVALID_REQUEST, Code.FILTER_NEEDED, Code.ROLE_TOO_LOW, Code.UNKNOWN_DEAD_LETTER, Code.UNKNOWN_PLAN,
    Code.PLAN_CANCELLED, Code.PLAN_SENT, Code.PLAN_RUNNING, Code.ANOTHER_RUN, Code.TOO_MANY_RUNS, Code.TOO_MANY_PLANS,
    Code.RUN_FAILED,
    Code.NOT_FOUND, Code.METHOD_NOT_ALLOWED,
)  # fmt: skip


def document_of(app: FastAPI) -> dict[str, Any]:
    """Return the complete document."""
    return _completed(app.openapi())


def _completed(document: dict[str, Any]) -> dict[str, Any]:
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


def _schemas() -> dict[str, Any]:
    disposition = _nullable({"enum": list(Disposition)})
    line = {
        "provenance": _TEXT, "dropped_at": _MOMENT, "dropped_reason": {"enum": list(DroppedReason)},
        "error_class": {"enum": list(ErrorClass)}, "error": _TEXT, "cause": _TEXT, "attempt": _NUMBER,
        "site_id": _nullable(_NUMBER), "org_id": _nullable(_NUMBER), "script_id": _nullable(_TEXT),
        "event_id": _nullable(_TEXT), "disposition": disposition, "replay_of": _nullable(_TEXT),
        "replayed_as": _nullable(_TEXT), "sender": _nullable({"enum": list(Sender)}),
        "guessed_site_id": _nullable(_NUMBER), "guessed_script_id": _nullable(_TEXT),
        "claimed_site_id": _nullable(_NUMBER),
    }  # fmt: skip
    encoding = _nullable({"enum": ["utf-8", "base64"]})
    whole = line | {
        "received_at": _MOMENT, "record_time": _MOMENT, "first_failed_at": _MOMENT, "changed_at": _MOMENT,
        "replay_id": _nullable(_TEXT), "discarded_by": _nullable(_TEXT), "key": _nullable(_TEXT),
        "key_encoding": encoding, "payload": _nullable(_TEXT), "payload_encoding": encoding,
        "headers": _list_of(object_of({"name": _TEXT, "value": _nullable(_TEXT), "encoding": encoding})),
        "lives": _list_of(reference("Life")),
    }  # fmt: skip
    owner = {
        "site_id": _nullable(_NUMBER), "org_id": _nullable(_NUMBER), "dead_letters": _NUMBER,
        "scripts": _list_of(_TEXT),
    }  # fmt: skip
    guessed = {
        "site_id": _NUMBER, "scripts": _list_of(_TEXT), "dead_letters": _NUMBER, "keyed_site_id": _nullable(_NUMBER),
    }  # fmt: skip
    group = {
        "cause": _TEXT, "message": _TEXT, "dead_letters": _NUMBER, "share_pct": {"type": "number"},
        "first_at": _MOMENT, "last_at": _MOMENT, "since": _MOMENT, "hours": _list_of(_NUMBER), "dropped_reason": _TEXT,
        "error_class": _TEXT, "example": reference("DeadLetterLine"), "owners": _list_of(object_of(owner)),
        "sites": _NUMBER, "persisted": _NUMBER, "looked_up": _NUMBER, "guesses": _list_of(object_of(guessed)),
    }  # fmt: skip
    repeated = {
        "script_id": _nullable(_TEXT), "site_id": _nullable(_NUMBER), "event_id": _TEXT, "drops": _NUMBER,
        "first_at": _MOMENT, "last_at": _MOMENT,
    }  # fmt: skip
    duplicates = {"script_id": _nullable(_TEXT), "site_id": _nullable(_NUMBER), "duplicates": _NUMBER}
    return {
        "DeadLetterLine": object_of(line),
        "DeadLetter": object_of(whole),
        "Life": _life(disposition),
        "Page": object_of({"total": _NUMBER, "next": _nullable(_TEXT), "dead_letters": _list_of(reference("DeadLetterLine"))}),
        "Groups": object_of({"total": _NUMBER, "causes": _NUMBER, "groups": _list_of(object_of(group)),
                             "repeated": _list_of(object_of(repeated)), "repeated_events": _NUMBER, "duplicates": _NUMBER,
                             "duplicate_replays": _NUMBER,
                             "duplicates_by_script": _list_of(object_of(duplicates))}),
        "Begun": object_of({"replay_id": _TEXT, "plan_id": _TEXT, "run_id": _TEXT}),
        "Problem": problem_schema({*ALWAYS, *WITH_A_BODY, *_OTHERS}),
    } | _plans() | _tokens()  # fmt: skip


def _life(disposition: dict[str, Any]) -> dict[str, Any]:
    moment, text, number = _nullable(_MOMENT), _nullable(_TEXT), _nullable(_NUMBER)
    return object_of(
        {
            "provenance": _TEXT, "state": {"enum": list(State)}, "attempt": number, "first_failed_at": moment,
            "settled_at": moment, "dropped_reason": text, "error": text, "disposition": disposition,
            "site_id": number, "org_id": number,
        }
    )  # fmt: skip


def _plans() -> dict[str, Any]:
    plan = {
        "replay_id": _TEXT, "requested_by": _TEXT, "reason": _TEXT, "planned": _NUMBER, "published": _NUMBER,
        "sent_to": _NUMBER, "state": {"enum": list(PlanState)}, "ended_by": _TEXT, "ended_because": _TEXT,
        "created_at": _MOMENT, "updated_at": _MOMENT, "org_id": _nullable(_NUMBER),
    }  # fmt: skip
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
        "Plans": object_of({"plans": _list_of(object_of(plan | {"corrected": _FLAG}))}),
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
