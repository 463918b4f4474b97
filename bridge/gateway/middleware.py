"""The outermost layer: ids, limits, cross-origin headers, refusals, metrics and logs of every request."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import structlog
from fastapi import FastAPI

from bridge.gateway.admission.access import has_key
from bridge.gateway.admission.cors import cors_headers, preflight
from bridge.gateway.request import Request, script_route
from bridge.gateway.routes.events import post_events
from bridge.gateway.routes.snippet import get_snippet
from bridge.gateway.routes.token import post_token
from bridge.gateway.routes.validate import post_validate
from bridge.gateway.services import Services
from bridge.http.admin_port import ADMIN_PATHS, is_admin, is_served
from bridge.http.answer import Answer, Receive, Scope, Send
from bridge.http.body import CLIENT_GONE, ClientGone
from bridge.http.exchange import Exchange, identify, serve_page
from bridge.http.problems import Code, Problem, drained
from bridge.http.refusal_log import REFUSED
from bridge.http.wire.client_address import address_of
from schemas.config.settings import Settings
from schemas.errors import BridgeError
from telemetry import metrics

if TYPE_CHECKING:
    from bridge.gateway.spans import RequestSpans

Running = Callable[["Front"], AbstractAsyncContextManager[Services]]
Handler = Callable[[Services, Request], Awaitable[Answer]]

_ROUTES: Final[dict[str, tuple[str, str, Handler]]] = {
    "events": ("POST", "/api/bridge/{script_id}/events", post_events),
    "validate": ("POST", "/api/bridge/{script_id}/events:validate", post_validate),
    "token": ("POST", "/bridge/{script_id}/token", post_token),
    "snippet": ("GET", "/bridge/{script_id}.js", get_snippet),
}
_TOLD: Final = sorted({code.status.value for code in Code} | {200, 202, 204})
_SERVER_ERROR = 500
_CLIENT_GONE = 499
# The cost of an operators' page, as a number of usual requests.
_PAGE_COST = 10

_NOSNIFF = (b"x-content-type-options", b"nosniff")

log = structlog.get_logger(__name__)


class Front:
    """The ASGI application.

    It answers the routes of scripts itself, without a framework; FastAPI answers all others.
    """

    def __init__(self, rest: FastAPI, settings: Settings, running: Running) -> None:
        self._rest = rest
        self._running = running
        self._admin_port = settings.gateway_admin_port
        self._hops = settings.gateway_forwarded_hops
        self._logs_all = settings.gateway_access_log
        self.in_hand = 0
        """The number of requests of scripts' routes that are in flight."""
        self._seconds = {name: metrics.GATEWAY_SECONDS.labels(name) for name in (*_ROUTES, "other")}
        # Series start at zero here, because `increase` does not see the first count of a series that starts with it.
        for status in _TOLD:
            _of_servers(status)
            for route in self._seconds:
                _requests(route, status)
        self.services: Services | None = None
        self.spans: RequestSpans | None = None
        """The tracing of requests; None if tracing is off."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        began = time.perf_counter()
        headers, ids = identify(scope)
        found = script_route(scope["raw_path"]) if is_served(scope, self._admin_port) else None
        if found is None or self.services is None:
            exchange = Exchange(send, ids, [_NOSNIFF])
            await self._others(scope, receive, exchange)
            status = _CLIENT_GONE if CLIENT_GONE in scope else exchange.status or _SERVER_ERROR
            self._tell("other", status, "", scope, began, (exchange.began or time.perf_counter()) - began)
            return
        address = address_of(scope, self._hops)
        route, script_id = found
        traced = None
        if self.spans:
            # The span begins before the request is admitted, because refused requests have one too.
            keyed = has_key(self.services.producers, script_id, headers)
            traced = self.spans.begin(scope["method"], _ROUTES[route][1], script_id, headers, ids, from_server=keyed)
        request = Request(scope, receive, headers, traced.ids if traced else ids, script_id, address)
        status, error_code = await self._scripts_route(self.services, route, request, send, began)
        if traced:
            traced.end(status, error_code)

    async def _scripts_route(
        self, services: Services, route: str, request: Request, send: Send, began: float
    ) -> tuple[int, str]:
        """Answer a request of a script's route; returns the status, and the error code of a refusal."""
        scope, ids = request.scope, request.ids
        self.in_hand += 1
        try:
            answer = await self._answer(services, route, request)
        except ClientGone:
            return self._tell(route, _CLIENT_GONE, "", scope, began, time.perf_counter() - began - request.waited)
        finally:
            self.in_hand -= 1
        # The time in which the client sends or reads is not the gateway's time.
        seconds = time.perf_counter() - began - request.waited
        more = [*ids.headers(), _NOSNIFF]
        if route != "snippet":
            more += cors_headers(services.producers, request.script_id, request.headers)
        with answer.holding or nullcontext():
            await answer.send(send, more)
        if CLIENT_GONE in scope:
            return self._tell(route, _CLIENT_GONE, "", scope, began, seconds)
        if request.from_server:
            _of_servers(answer.status).inc()
            if request.is_crowded and answer.status == Code.RATE_LIMITED.status:
                metrics.GATEWAY_SERVER_CROWDED.inc()
            if route == "events":
                # This figure pages, so it has no time that a server can lengthen by what it sends.
                for_others = seconds - request.own_waits
                metrics.GATEWAY_SERVER_SECONDS.observe(for_others)
                services.lateness.answered(for_others)
        if answer.error_code:
            script = services.producers.current.get(request.script_id)
            REFUSED.count(
                answer.error_code, script, events=request.events, by_server=request.from_server, named=request.script_id
            )
        return self._tell(route, answer.status, answer.error_code, scope, began, seconds)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start the services when the server starts, and stop them when it has drained."""
        await receive()
        async with AsyncExitStack() as running:
            try:
                self.services = await running.enter_async_context(self._running(self))
            except BridgeError as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, services: Services, route: str, request: Request) -> Answer:
        method, _, handler = _ROUTES[route]
        try:
            services.rate_limits.requests.take(request.address, 1)
            if request.scope["method"] != method:
                if request.scope["method"] == "OPTIONS" and method == "POST":
                    return preflight(services.producers, request.script_id, request.headers)
                raise Problem(Code.METHOD_NOT_ALLOWED, f"the resource supports {method}")
            return await handler(services, request)
        except Problem as problem:
            answer = problem.answer(request.ids)
            if problem.code is Code.METHOD_NOT_ALLOWED:
                answer.headers.append((b"allow", method.encode()))
            return answer
        except ClientGone:
            raise
        except asyncio.CancelledError:
            return drained().answer(request.ids)
        except Exception:
            log.exception("request_failed", route=route)
            return Problem(Code.INTERNAL_ERROR).answer(request.ids)

    async def _others(self, scope: Scope, receive: Receive, exchange: Exchange) -> None:
        """Let FastAPI answer a request of no script's route, if its port and path are known.

        On the public port, these requests count towards the rate limit of the client address, like requests of scripts'
        routes.
        """
        try:
            if not is_served(scope, self._admin_port):
                raise Problem(Code.NOT_FOUND)
            if self.services is not None and not is_admin(scope, self._admin_port):
                cost = _PAGE_COST if scope["path"] in ADMIN_PATHS else 1
                self.services.rate_limits.requests.take(address_of(scope, self._hops), cost)
            await serve_page(self._rest, scope, receive, exchange)
        except Problem as problem:
            await exchange.refuse(problem)
            REFUSED.count(problem.code, None)
        except Exception:
            # FastAPI answers 500 before it raises.
            log.exception("request_failed", route="other")

    def _tell(self, route: str, status: int, code: str, scope: Scope, began: float, seconds: float) -> tuple[int, str]:
        """Count and log an answered request; returns its status and error code.

        Metrics use `seconds`, the time that the gateway itself took. Logs use the whole time since `began`.
        """
        self._seconds[route].observe(seconds)
        _requests(route, status).inc()
        # A script is paused by an operator's decision. Its refusals cause no alert, and REFUSED logs them.
        is_error = status >= _SERVER_ERROR and code != Code.SCRIPT_PAUSED
        if is_error:
            metrics.GATEWAY_ERRORS.inc()
        if self._logs_all or is_error:
            # Only the path is logged, because the query may contain a browser's token.
            (log.warning if is_error else log.info)(
                "request",
                method=scope["method"],
                path=scope["raw_path"].decode("latin-1")[:300],
                status_code=status,
                error_code=code or None,
                duration_ms=round((time.perf_counter() - began) * 1000, 1),
            )
        return status, code


@cache
def _requests(route: str, status: int) -> Any:
    return metrics.GATEWAY_REQUESTS.labels(route, str(status))


@cache
def _of_servers(status: int) -> Any:
    return metrics.GATEWAY_SERVER_REQUESTS.labels(str(status))
