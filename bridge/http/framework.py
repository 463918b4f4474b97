"""The FastAPI application behind the gateway and the API: its documents, and its refusals as problems."""

import json
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from bridge.http.docs_page import POLICY, docs_page
from bridge.http.problems import Code, Problem
from telemetry.metrics import product_version

_CODES: Final = {
    HTTPStatus.BAD_REQUEST: Code.INVALID_JSON,
    HTTPStatus.NOT_FOUND: Code.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: Code.METHOD_NOT_ALLOWED,
}


def create_framework(title: str, document: Callable[[FastAPI], dict[str, Any]], **options: Any) -> FastAPI:
    """Return an application that answers `/openapi.json` and `/docs`, and every error of FastAPI with a problem.

    `document` returns the OpenAPI document of the application, whose `title` is given. `options` are FastAPI's.
    """
    app = FastAPI(title=title, version=product_version(), docs_url=None, redoc_url=None, openapi_url=None, **options)
    # A redirect would contain the host that the client sent.
    app.router.redirect_slashes = False
    # Each is built at the first request for it, and kept.
    described = cache(lambda: document(app))
    as_json = cache(lambda: json.dumps(described(), ensure_ascii=False, separators=(",", ":")).encode())
    as_page = cache(lambda: docs_page(described()).encode())

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return Response(as_json(), media_type="application/json")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(as_page(), headers={"content-security-policy": POLICY})

    @app.exception_handler(HTTPException)
    async def not_served(request: Request, error: HTTPException) -> Response:
        code = _CODES.get(HTTPStatus(error.status_code), Code.INTERNAL_ERROR)
        return refusal(request, Problem(code), dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def failed(request: Request, _error: Exception) -> Response:
        return refusal(request, Problem(Code.INTERNAL_ERROR))

    return app


def refusal(request: Request, problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """Return the problem as FastAPI's response, with `headers` unless the problem's own answer has them."""
    request.scope["bridge_error_code"] = problem.code
    answer = problem.answer(request.scope["bridge_ids"])
    own = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.body, answer.status, (headers or {}) | own)
