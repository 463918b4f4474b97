"""Parts that the OpenAPI document of every HTTP service has: refusals, and the id headers of each response."""

from collections.abc import Iterable
from typing import Any, Final

from bridge.http.problems import MEDIA_TYPE, Code

ID_HEADERS: Final = {
    "x-request-id": {"schema": {"type": "string"}},
    "x-trace-id": {"schema": {"type": "string"}},
    "traceparent": {"schema": {"type": "string"}},
}


def refusals(*codes: Code) -> dict[int | str, Any]:
    """Return the responses of refusals by status, each with its possible error codes."""
    by_status: dict[int, list[Code]] = {}
    for code in codes:
        by_status.setdefault(code.status.value, []).append(code)
    answers: dict[int | str, Any] = {}
    for status, found in sorted(by_status.items()):
        headers: dict[str, Any] = dict(ID_HEADERS)
        if any(code.retry_after for code in found):
            headers["retry-after"] = {"schema": {"type": "integer"}, "description": "seconds"}
        answers[str(status)] = {
            "description": "; ".join(f"`{code}`: {code.message}" for code in found),
            "headers": headers,
            "content": {MEDIA_TYPE.decode(): {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return answers


def problem_schema(codes: Iterable[Code]) -> dict[str, Any]:
    """Return the schema of a refusal's body; `codes` are its possible error codes."""
    text = {"type": "string"}
    return object_of(
        {
            "type": text, "title": text, "status": {"type": "integer"}, "error_code": {"enum": sorted(codes)},
            "message": text, "detail": text, "request_id": text, "trace_id": text,
        }
    )  # fmt: skip


def object_of(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object in which each of these properties is required."""
    return {"type": "object", "properties": properties, "required": list(properties)}
