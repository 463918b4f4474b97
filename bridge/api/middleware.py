"""The outermost layer: ids, authentication, limits, bodies, refusals, metrics and logs of every request."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from starlette.types import ASGIApp

from bridge.api.authentication import Caller, admit
from bridge.api.services import Services
from bridge.http.admin_port import is_admin, is_served
from bridge.http.answer import HeaderPairs, Message, Receive, Scope, Send, parts_of
from bridge.http.body import BODY_BYTES, ClientGone
from bridge.http.exchange import Exchange, identify, serve_page
from bridge.http.ids import RequestIds
from bridge.http.problems import Code, Problem, drained
from bridge.http.wire.client_address import address_of
from schemas.errors import BridgeError
from telemetry import metrics

GUARDED: Final = "/v1/"
"""The prefix of the paths that require a token."""

_COUNTED_PAGES: Final = frozenset({"/metrics", "/docs", "/openapi.json"})
"""Pages that count in the rate of their address. The others are for probes, which may come through the proxy of all."""
_BODIES: Final = ("POST", "PUT", "PATCH", "DELETE")
_SEND_SECONDS: Final = 60.0
_ANSWER_SECONDS: Final = 3600.0
_LEAST_BYTES_PER_SECOND: Final = 4096
_SERVER_ERROR: Final = 500
_RESERVED_SHARE: Final = 4
"""One place in so many is reserved for callers that have none, and the last one for tokens without an organisation."""
_HEADERS: Final[HeaderPairs] = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]

log = structlog.get_logger(__name__)


class _StoppedReading(Exception):
    """The client has stopped reading the response, or reads it too slowly."""


class _NoLongerGood(Exception):
    """The token was revoked or has expired while the response was being sent."""


class Front:
    """The ASGI application. A request that it refuses does not reach FastAPI; FastAPI's responses pass through it."""

    def __init__(self, rest: ASGIApp, services: Services) -> None:
        self._rest = rest
        self._services = services
        self._most = services.settings.api_max_requests
        self._most_of_one = services.settings.api_max_requests_per_org
        self._in_hand_of: Counter[int | str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, ids = identify(scope)
        answer = _Answer(send, ids)
        began = time.perf_counter()
        try:
            await self._admitted(scope, headers, receive, answer)
        except Problem as problem:
            await answer.refuse(problem)
        except ClientGone:
            answer.status = answer.status or 499
        except asyncio.CancelledError:
            if answer.status:
                raise
            await answer.refuse(drained())
        except _StoppedReading:
            log.warning("response_not_read", path=scope["path"][:300])
        except (BridgeError, _NoLongerGood) as error:
            # The export was interrupted. The missing end of the response shows the client that it is incomplete.
            log.warning("response_cut_off", path=scope["path"][:300], error=str(error))
        except Exception:
            # FastAPI has answered with 500 already.
            log.exception("request_failed")
        finally:
            _tell(scope, answer, time.perf_counter() - began)

    async def _admitted(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, answer: "_Answer") -> None:
        admin_port = self._services.settings.api_admin_port
        if not is_served(scope, admin_port):
            raise Problem(Code.NOT_FOUND)
        if not scope["path"].startswith(GUARDED):
            if scope["path"] in _COUNTED_PAGES and not is_admin(scope, admin_port):
                self._services.addresses.take(address_of(scope, 0), 1)
            await serve_page(self._rest, scope, receive, answer)
            return
        caller = scope["bridge_caller"] = self._caller(scope, headers)
        answer.still_good = lambda: self._check_still_good(headers)
        self._services.use(caller.key_id)
        with self._place(caller):
            if scope["method"] not in _BODIES:
                await self._rest(scope, receive, answer.send)
                return
            with self._services.budget.holding() as held:
                body = await self._services.body.read(receive, headers, held, so_far=lambda: scope.get(BODY_BYTES, 0))
                await self._rest(scope, _replayed(body, receive), answer.send)

    def _caller(self, scope: Scope, headers: dict[bytes, bytes]) -> Caller:
        """Authenticate the request and return its caller; raises Problem.

        The rate limit of a client address counts requests without a valid token, and pages, because all clients behind
        one proxy share an address.
        """
        services = self._services
        try:
            caller = admit(services.tokens.tokens, headers, lambda: datetime.now(UTC))
        except Problem:
            services.addresses.take(address_of(scope, 0), 1)
            raise
        if not services.tokens.is_current:
            # Sessions to Postgres can be ended by others, and a revocation would not be noticed.
            raise Problem(Code.SERVICES_AWAY, "the tokens have not been read from Postgres for too long")
        structlog.contextvars.bind_contextvars(user_id=caller.name, org_id=caller.org_id)
        services.callers.take(caller.key_id, 1)
        return caller

    def _check_still_good(self, headers: dict[bytes, bytes]) -> None:
        try:
            admit(self._services.tokens.tokens, headers, lambda: datetime.now(UTC))
        except Problem as problem:
            raise _NoLongerGood(problem.code) from None
        if not self._services.tokens.is_current:
            raise _NoLongerGood(Code.SERVICES_AWAY)

    @contextmanager
    def _place(self, caller: Caller) -> Iterator[None]:
        """Count the request among the requests in flight within the block; raises Problem at their limit.

        Each organisation has a limit, so slow clients of one organisation can't use up the limit for all others. The
        last places are reserved, so that slow clients of several organisations can't either.
        """
        whose = caller.key_id if caller.org_id is None else caller.org_id
        free, reserved = self._most - self._in_hand_of.total(), self._most // _RESERVED_SHARE
        is_last = free == 1 and reserved > 0
        if free <= 0 or (free <= reserved and self._in_hand_of[whose]) or (is_last and caller.org_id is not None):
            raise Problem(Code.OVERLOADED, "too many requests are in flight; try again later")
        if self._in_hand_of[whose] >= self._most_of_one:
            detail = f"{self._most_of_one} requests of your organisation are in flight; wait for their responses"
            raise Problem(Code.RATE_LIMITED, detail)
        self._in_hand_of[whose] += 1
        try:
            yield
        finally:
            self._in_hand_of[whose] -= 1
            if not self._in_hand_of[whose]:
                del self._in_hand_of[whose]


class _Answer(Exchange):
    """The response of the API, which a client must read within a time limit.

    The limit holds for each part of the response and for all of it: one minute, plus one second for each 4 KiB. The time in which the database is queried does not count. `still_good` is called before
    each part of a streamed response, and raises an error if the request's token is no longer valid.
    """

    def __init__(self, send: Send, ids: RequestIds) -> None:
        super().__init__(send, ids, _HEADERS)
        self._until = asyncio.get_running_loop().time() + _ANSWER_SECONDS
        self._sent_bytes = 0
        self._waited = 0.0
        self.still_good: Callable[[], None] = lambda: None

    async def send(self, message: Message) -> None:
        if message.get("more_body"):
            self.still_good()
        # The request keeps its place until its client has read all but the last part.
        for part in parts_of(message):
            await self._send_part(part)

    async def _send_part(self, message: Message) -> None:
        began = asyncio.get_running_loop().time()
        credit = _SEND_SECONDS + self._sent_bytes / _LEAST_BYTES_PER_SECOND - self._waited
        try:
            async with asyncio.timeout_at(min(began + min(credit, _SEND_SECONDS), self._until)):
                await super().send(message)
        except TimeoutError:
            # A client that does not read must not occupy a connection and a place among the requests in flight.
            raise _StoppedReading from None
        self._waited += asyncio.get_running_loop().time() - began
        self._sent_bytes += len(message.get("body", b""))


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return an ASGI receive function that first returns `body`, read before, and then the messages of `receive`."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_next() -> Message:
        return left.pop() if left else await receive()

    return receive_next


def _tell(scope: Scope, answer: _Answer, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "other")
    metrics.API_REQUESTS.labels(route, str(answer.status)).inc()
    metrics.API_SECONDS.labels(route).observe(seconds)
    caller: Caller | None = scope.get("bridge_caller")
    fields: dict[str, Any] = {
        "method": scope["method"],
        "path": scope["path"][:300],
        "status_code": answer.status,
        "error_code": answer.error_code or scope.get("bridge_error_code"),
        "duration_ms": round(seconds * 1000, 1),
    }
    if answer.status >= _SERVER_ERROR:
        log.warning("request", **fields)
    elif caller is not None:
        log.info("request", **fields)
    elif answer.error_code:
        # A client can cause any number of refusals. So the number of warnings per minute is limited; more are counted.
        log.warning("request_refused", **fields)
