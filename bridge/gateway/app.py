"""One gateway process: its services, which start and stop with the server, and the routes that belong to no script."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from bridge.gateway.middleware import Front
from bridge.gateway.openapi import completed
from bridge.gateway.services import Services
from bridge.http.exposition import Exposition
from bridge.http.framework import create_framework
from bridge.http.refusal_log import REFUSED
from bridge.http.server import quiet_server
from bridge.http.wire.protocol import BoundedProtocol
from schemas.config.settings import Settings
from schemas.errors import BridgeError
from sinks.readiness import ALIVE
from telemetry import metrics
from telemetry.gc_tuning import REQUESTS, search_now_and_then, search_rarely
from telemetry.tracing import provider_of_traces

if TYPE_CHECKING:
    from bridge.gateway.spans import RequestSpans

_GAUGES_SECONDS = 1.0


StartFailed = Callable[[BridgeError], None]
"""Called with the error of services that could not start."""


def prepared_app(settings: Settings, start_failed: StartFailed = lambda _: None) -> Front:
    """Build the ASGI application, and set up this process for serving it."""
    quiet_server()
    BoundedProtocol.bound(settings)
    app = create_app(settings, start_failed)
    search_rarely(REQUESTS)
    return app


def create_app(settings: Settings, start_failed: StartFailed = lambda _: None) -> Front:
    """Build the ASGI application. Its services start and stop with the server, by the ASGI lifespan."""
    rest = create_framework("Ghostlink Bridge gateway", lambda app: completed(app.openapi(), settings))
    front = Front(rest, settings, lambda front: _running(settings, front, start_failed))
    _add_routes(rest, front)
    return front


@asynccontextmanager
async def _running(settings: Settings, front: Front, start_failed: StartFailed) -> AsyncIterator[Services]:
    try:
        services = Services(settings)
        front.spans = _request_spans(settings)
        await services.producers.load()
        await services.publisher.start()
    except BridgeError as error:
        start_failed(error)
        raise
    work = (services.producers.follow(), _keep_gauges(services, front), search_now_and_then())
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield services
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        REFUSED.tell(everything=True)
        await services.publisher.close()


def _request_spans(settings: Settings) -> "RequestSpans | None":
    provider = provider_of_traces(settings, "bridge-gateway")
    if provider is None:
        return None
    from bridge.gateway.spans import RequestSpans

    return RequestSpans(provider)


async def _keep_gauges(services: Services, front: Front) -> None:
    bodies = metrics.GATEWAY_BYTES_IN_FLIGHT.labels("bodies")
    records = metrics.GATEWAY_BYTES_IN_FLIGHT.labels("records")
    metrics.GATEWAY_BYTES_BOUND.set(services.settings.gateway_max_bytes_in_flight)
    while True:
        bodies.set(services.budget.taken)
        records.set(services.publisher.bytes_in_flight)
        metrics.GATEWAY_REQUESTS_IN_FLIGHT.set(front.in_hand)
        for what, used in services.rate_limits.most_used():
            metrics.GATEWAY_RATE_LIMIT_USED.labels(what).set(used)
        REFUSED.tell()
        asked = time.monotonic()
        await asyncio.sleep(_GAUGES_SECONDS)
        metrics.EVENT_LOOP_LAG.set(max(0.0, time.monotonic() - asked - _GAUGES_SECONDS))


def _add_routes(app: FastAPI, front: Front) -> None:
    exposition = Exposition()

    @app.get("/", tags=["health"], summary="Whether the process answers")
    async def root() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/health", tags=["health"], summary="Liveness, without Postgres or Kafka")
    async def health() -> dict[str, str]:
        return ALIVE

    @app.get("/ready", tags=["health"], summary="Readiness, with the state of each dependency")
    async def ready() -> JSONResponse:
        if front.services is None:
            raise HTTPException(503)
        status, body = await front.services.readiness.ready()
        return JSONResponse(body, status)

    @app.get("/metrics", tags=["health"], summary="Metrics for Prometheus")
    async def figures() -> Response:
        text, media_type = exposition.page()
        return Response(text, headers={"content-type": media_type})
