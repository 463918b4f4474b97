"""The API's application: its routes, its documentation, and the form of FastAPI's refusals."""

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route

from bridge.api.about import about, health
from bridge.api.dead_letters import dead_letters
from bridge.api.middleware import Front
from bridge.api.openapi import document_of
from bridge.api.plans import plans
from bridge.api.services import Services
from bridge.http.framework import create_framework, refusal
from bridge.http.problems import Code, Problem

_MOST_TOLD: Final = 5
_ROUTERS: Final = (health, about, dead_letters, plans)


def create_app(services: Services) -> Front:
    """Build the ASGI application; `services` start and stop together with the server that serves it."""
    app = create_framework("Ghostlink Bridge API", document_of, generate_unique_id_function=_operation)
    app.state.services = services
    for router in _ROUTERS:
        app.include_router(router)
    _add_refusals(app)
    return Front(app, services)


def _operation(route: APIRoute) -> str:
    """Return the operation id of a route, such as `list_plans` or `show_dead_letters`."""
    return "_".join([route.name.strip("_"), *map(str, route.tags)]).replace(" ", "_")


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def refused(request: Request, problem: Problem) -> Response:
        return refusal(request, problem)

    @app.exception_handler(HTTPStatus.METHOD_NOT_ALLOWED)
    async def not_allowed(request: Request, _error: HTTPException) -> Response:
        # The router only names the methods of one route, but a path can have several routes.
        return refusal(request, Problem(Code.METHOD_NOT_ALLOWED), {"allow": ", ".join(sorted(_methods(request.scope)))})

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, error: RequestValidationError) -> Response:
        return refusal(request, _of_validation(error))


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
