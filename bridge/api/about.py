"""Routes `/v1/me` and `/v1/tokens`, and the routes without a token: root, health, readiness and metrics."""

from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from bridge.api.answers import documented, json_answer
from bridge.api.callers import Scope
from bridge.http.exposition import Exposition
from bridge.http.problems import Code
from sinks.readiness import ALIVE

about: Final = APIRouter(prefix="/v1", tags=["tokens"])
health: Final = APIRouter(tags=["health"])
_exposition: Final = Exposition()


@about.get("/me", summary="The token of the request: its name, role and scope", responses=documented("Me"))
async def me(scope: Scope) -> Response:
    """Return the token's name, role, organisation and expiry."""
    caller = scope.caller
    return json_answer(
        {
            "name": caller.name, "role": caller.role, "may": caller.role.meaning, "org_id": caller.org_id,
            "expires_at": caller.expires_at,
        }
    )  # fmt: skip


@about.get("/tokens", summary="The tokens, without their secrets", responses=documented("Tokens", Code.ROLE_TOO_LOW))
async def tokens(scope: Scope) -> Response:
    """Return the tokens of the caller's organisation, or all tokens if the caller belongs to no organisation.

    For admins. `bridge api token` creates and revokes tokens.
    """
    now = datetime.now(UTC)
    return json_answer({"tokens": [one._asdict() | {"state": one.state(now)} for one in await scope.tokens()]})


@health.get("/", summary="Whether the process answers")
async def root() -> dict[str, str]:
    """Answer a request for the root path."""
    return {"status": "ok"}


@health.get("/health", summary="Liveness, without Postgres or Kafka")
async def alive() -> dict[str, str]:
    """Answer 200 while the process is alive."""
    return ALIVE


@health.get("/ready", summary="Readiness, with the state of each dependency",
            responses={503: {"description": "Postgres is unreachable", "content": {"application/json": {"schema": {"type": "object"}}}}})  # fmt: skip
async def ready(request: Request) -> Response:
    """Answer 503 without Postgres or the tokens, and 200 with `degraded` without Kafka: reads still work."""
    status, body = await request.app.state.services.readiness.ready()
    return JSONResponse(body, status)


@health.get("/metrics", summary="Metrics for Prometheus",
            responses={200: {"description": "the metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}})  # fmt: skip
async def figures() -> Response:
    """Return the metrics in Prometheus' text format."""
    text, media_type = _exposition.page()
    return Response(text, headers={"content-type": media_type})
