"""Routes `/v1/me` and `/v1/tokens`, and the routes that need no token: root, health, readiness and metrics."""

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
    """Name, role, organisation and end of the token."""
    caller = scope.caller
    return json_answer(
        {
            "name": caller.name, "role": caller.role, "may": caller.role.meaning, "org_id": caller.org_id,
            "expires_at": caller.expires_at,
        }
    )  # fmt: skip


@about.get("/tokens", summary="The tokens, without their secrets", responses=documented("Tokens", Code.ROLE_TOO_LOW))
async def tokens(scope: Scope) -> Response:
    """Those of the caller's organisation, or all. For admins. `bridge api token` creates and revokes them."""
    now = datetime.now(UTC)
    return json_answer({"tokens": [one._asdict() | {"state": one.state(now)} for one in await scope.tokens()]})


@health.get("/", summary="Whether the process answers")
async def root() -> dict[str, str]:
    """Answers a request to the root path."""
    return {"status": "ok"}


@health.get("/health", summary="Liveness, without Postgres or Kafka")
async def alive() -> dict[str, str]:
    """An answer is the proof of liveness."""
    return ALIVE


@health.get("/ready", summary="Readiness, with the state of each dependency",
            responses={503: {"description": "Postgres is away", "content": {"application/json": {"schema": {"type": "object"}}}}})  # fmt: skip
async def ready(request: Request) -> Response:
    """503 without Postgres or tokens; 200 but `degraded` without Kafka: reads still work."""
    status, body = await request.app.state.services.readiness.ready()
    return JSONResponse(body, status)


@health.get("/metrics", summary="Metrics for Prometheus",
            responses={200: {"description": "figures", "content": {"text/plain": {"schema": {"type": "string"}}}}})  # fmt: skip
async def figures() -> Response:
    """In Prometheus' text form."""
    text, media_type = _exposition.page()
    return Response(text, headers={"content-type": media_type})
