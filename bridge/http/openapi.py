"""Parts that the OpenAPI document of every HTTP service has: refusals, and the id headers of each response."""

from collections.abc import Iterable
from typing import Any, Final

from bridge.http.problems import MEDIA_TYPE, Code

ID_HEADERS: Final[dict[str, Any]] = {
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
        description = "; ".join(f"`{code}`: {code.message}" for code in found)
        answer = answers[str(status)] = answer_of(description, reference("Problem"), MEDIA_TYPE.decode())
        if any(code.retry_after for code in found):
            answer["headers"] = ID_HEADERS | {"retry-after": {"schema": {"type": "integer"}, "description": "seconds"}}
    return answers


def answer_of(description: str, schema: dict[str, Any], media_type: str = "application/json") -> dict[str, Any]:
    """Return a response with a body of this schema and media type."""
    return {"description": description, "headers": ID_HEADERS, "content": {media_type: {"schema": schema}}}


def reference(name: str) -> dict[str, Any]:
    """Return the reference to the schema of this name among the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


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
