"""The API's application: its routes, its documentation, and the form of FastAPI's refusals."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match, Route

from bridge.api.about import about, health
from bridge.api.dead_letters import dead_letters
from bridge.api.middleware import Front
from bridge.api.openapi import document_of
from bridge.api.plans import plans
from bridge.api.services import Services
from bridge.http.docs_page import POLICY, Documents
from bridge.http.problem_response import problem_response
from bridge.http.problems import Code, Problem
from telemetry.metrics import product_version

_CODES: Final = {400: Code.INVALID_JSON, 404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED}
_MOST_TOLD: Final = 5
_ROUTERS: Final = (health, about, dead_letters, plans)


def create_app(services: Services) -> Front:
    """Build the ASGI application; `services` start and stop together with the server that serves it."""
    app = FastAPI(
        title="Ghostlink Bridge API", version=product_version(), docs_url=None, redoc_url=None, openapi_url=None,
        redirect_slashes=False, generate_unique_id_function=_operation,
    )  # fmt: skip
    app.state.services = services
    for router in _ROUTERS:
        app.include_router(router)
    _add_documents(app)
    _add_refusals(app)
    return Front(app, services)


def _operation(route: APIRoute) -> str:
    """Return the operation id of a route, such as `list_plans` or `show_dead_letters`."""
    return "_".join([route.name.strip("_"), *map(str, route.tags)]).replace(" ", "_")


def _add_documents(app: FastAPI) -> None:
    documents = Documents(lambda: document_of(app))

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return Response(documents.as_json, media_type="application/json")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(documents.as_page, headers={"content-security-policy": POLICY})


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def refused(request: Request, problem: Problem) -> Response:
        return _problem_answer(request, problem, {})

    @app.exception_handler(HTTPException)
    async def not_served(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            # The router only names the methods of one route, but a path can have several routes.
            headers = {"allow": ", ".join(sorted(_methods(request.scope)))}
        return _problem_answer(request, Problem(_CODES.get(error.status_code, Code.INTERNAL_ERROR)), headers)

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, error: RequestValidationError) -> Response:
        return _problem_answer(request, _of_validation(error), {})

    @app.exception_handler(Exception)
    async def failed(request: Request, _error: Exception) -> Response:
        return _problem_answer(request, Problem(Code.INTERNAL_ERROR), {})


def _methods(scope: Any) -> set[str]:
    routes = [route for router in _ROUTERS for route in router.routes if isinstance(route, Route)]
    return {method for one in routes if one.matches(scope)[0] is not Match.NONE for method in one.methods or ()}


def _of_validation(error: RequestValidationError) -> Problem:
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return Problem(Code.INVALID_JSON)
    lines = [f"{_place(one['loc'])}: {str(one['msg']).removeprefix('Value error, ')}" for one in found[:_MOST_TOLD]]
    return Problem(Code.INVALID_REQUEST, "; ".join(lines))


def _place(location: Any) -> str:
    """Return the name of the invalid field, without the first part of `location`: `body` or `query`."""
    names = [str(one)[:80] for one in location[1:]] or [str(location[0])]
    return ".".join(names)


def _problem_answer(request: Request, problem: Problem, headers: dict[str, str]) -> Response:
    request.scope["bridge_error_code"] = problem.code
    return problem_response(problem, request.scope["bridge_ids"], headers)
