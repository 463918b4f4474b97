"""Responses of the API: as JSON, and their description in the OpenAPI document."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from pydantic import BaseModel
from starlette.responses import Response

from bridge.dead_letters.export import Form
from bridge.http.openapi import ID_HEADERS, reference, refusals
from bridge.http.problems import Code

ALWAYS: Final = (
    Code.TOKEN_MISSING, Code.TOKEN_EXPIRED, Code.TOKEN_FORGED, Code.TOKEN_REVOKED, Code.RATE_LIMITED, Code.OVERLOADED,
    Code.SERVICES_AWAY, Code.QUERY_TIMEOUT, Code.INTERNAL_ERROR, Code.HEADERS_TOO_LARGE,
)  # fmt: skip
WITH_A_BODY: Final = (
    Code.INVALID_JSON, Code.BODY_TIMEOUT, Code.BODY_TOO_LARGE, Code.UNSUPPORTED_ENCODING, Code.INVALID_PAYLOAD_JSON,
)  # fmt: skip


def json_answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a document or a model as a JSON response; times are RFC 3339 in UTC."""
    if isinstance(document, BaseModel):
        document = document.model_dump(mode="json")
    return Response(msgspec.json.encode(document), status, headers, "application/json")


def documented(
    what: str | type[BaseModel] | Mapping[Form, str],
    *codes: Code,
    status: int = 200,
    changes: bool = False,
    description: str = "as asked",
) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of a route's responses.

    `what` describes the body: the name of a schema, a model, or a mapping of media types. `codes` are the error codes
    with which the route can refuse a request.
    """
    answer: dict[str, Any] = {"description": description, "headers": ID_HEADERS}
    if isinstance(what, str):
        answer["content"] = {"application/json": {"schema": reference(what)}}
    elif isinstance(what, Mapping):
        answer["content"] = {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in what.values()}
    else:
        answer["model"] = what
    answers: dict[int | str, dict[str, Any]] = {}
    if description == "as asked":
        answers |= refusals(*ALWAYS, *(WITH_A_BODY if changes else ()), *codes)
    return answers | {str(status): answer}
