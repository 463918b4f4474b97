"""uvicorn's HTTP protocol with limits: on connections, headers, the cost of bodies, and the rate of requests."""

import asyncio
import math
import time
from functools import partial
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from bridge.http.answer import CLOSE
from bridge.http.body import CLIENT_GONE, WHOLE_BODY, WIRE_BYTES
from bridge.http.problems import Code
from bridge.http.refusal_log import REFUSED
from bridge.http.wire.acceptor import Peer
from bridge.http.wire.client_address import counted
from bridge.http.wire.connection_turns import ConnectionTurns
from bridge.http.wire.connections import Connections
from bridge.http.wire.lingering_close import LingeringTransport
from bridge.http.wire.reading import ReadingProtocol
from bridge.http.wire.request_pace import Pace
from bridge.http.wire.unheard import refusal
from bridge.http.wire.unread_limit import UnreadLimit
from schemas.config.settings import Settings
from telemetry import metrics

_MOST_HEADERS = 100
_MOST_TRAILERS = 16
_LATE_BYTES = 64 * 1024
"""A body that is longer, or of unknown length, is not read to its end after an early response."""
_MOST_PIECES = 1024
_PIECE_BYTES = 64
_FRAMING_BYTES = 16 * 1024
# To decode a percent sign takes half a microsecond, and a path is decoded twice.
_MOST_ESCAPES = 1024
_MOST_ESCAPES_OF_PATH = 256
_FRAMING = (b"connection", b"proxy-connection", b"content-length", b"transfer-encoding")
"""The headers that determine where a request ends, and whether the connection ends after it."""


class BoundedProtocol(ReadingProtocol):
    """One connection. Its limits are attributes of the class, which a process sets once, before it serves."""

    most_header_bytes = 32 * 1024
    admin_port = 0
    header_seconds = 10.0
    places = Connections(4000, 400)
    pace = Pace(0)
    open_connections = metrics.GATEWAY_CONNECTIONS
    _peers_are_clients = True

    @classmethod
    def bound(cls, settings: Settings) -> None:
        """Set the limits from the settings."""
        most = settings.gateway_max_connections
        # Behind proxies, the peer of a connection is a proxy with many clients.
        cls._peers_are_clients = not settings.gateway_forwarded_hops
        share = settings.gateway_address_connections_share if cls._peers_are_clients else 0.0
        cls.most_header_bytes = settings.gateway_max_header_bytes
        cls.admin_port = settings.gateway_admin_port
        cls.places = Connections(most, math.ceil(most * share))
        # Behind proxies, only the headers of a request contain its client address.
        cls.pace = Pace(settings.gateway_address_requests_per_second if cls._peers_are_clients else 0)
        cls.header_seconds = settings.gateway_header_timeout.seconds

    @classmethod
    def address_of_peer(cls, peer: Peer) -> str:
        """Return the address for which limits count a peer's connections; "" means a proxy with many clients."""
        return counted(peer[0]) if cls._peers_are_clients else ""

    @classmethod
    def refuse_accepted(cls, count: int) -> None:
        """Count connections that are closed before their HTTP protocol begins."""
        cls._count_refusal(Code.RATE_LIMITED, count)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.parser = self._new_parser()
        self._header_bytes = 0
        self._said_bytes = 0
        self._messages = 0
        self._in_headers = True
        self._pieces = self._wire_bytes = self._trailers = 0
        self._stays = True
        self._offers_upgrade = self._passes_over = False
        self._header_timer: asyncio.TimerHandle | None = None
        self._refusal: tuple[Code, str] | None = None
        self._turned_away = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self._lingering = LingeringTransport(transport, self._is_midway)
        self._unread = UnreadLimit(self._lingering, self.loop)
        super().connection_made(self._lingering)  # type: ignore[arg-type]  # it has the methods that uvicorn calls
        self.open_connections.inc()
        # The admin port has no limit, so that a flood of the public port does not make the service look unready.
        is_admin = bool(self.admin_port) and transport.get_extra_info("sockname")[1] == self.admin_port
        self.address = address = counted(self.client[0] if self.client else "")
        self._turns = ConnectionTurns(Pace(0) if is_admin else self.pace, address, is_first=is_admin)
        if not self._turns.enters():
            self._count_refusal(Code.RATE_LIMITED)
            self._lingering.abort()
            return
        refusal = None if is_admin else self.places.enter(self, address)
        if refusal is None:
            # This timer limits the headers of the first request. Later uvicorn limits the idle time.
            self._watch()
            return
        # A close with unread bytes resets the connection, and the client would not see the refusal.
        self._turned_away = self.places.hears_why(self)
        self._refuse(refusal, "too many connections")

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        self.reads_no_more()
        running = self._running
        if running is not None and not running.response_complete:
            # uvicorn only notifies the last request that it has parsed, which may be a later request.
            running.disconnected = True
            running.scope[CLIENT_GONE] = True  # type: ignore[typeddict-unknown-key]  # ASGI lets servers add to it
            running.message_event.set()
        self._turns.gone(is_idle=running is None or running.response_complete)
        self.resume_writing()
        self._unset_keepalive_if_required()
        self.places.leave(self)
        self.open_connections.dec()
        super().connection_lost(exc)
        self._lingering.lost()
        self._break_cycles()

    def _break_cycles(self) -> None:
        """Drop the references from the connection's objects to the connection, so that reference counting frees all.

        After a flood of connections, the garbage collector would otherwise have to scan so many objects that it blocks
        the loop for a second.
        """
        self.pipeline.clear()
        self._running = self.cycle = self.scope = None  # type: ignore[assignment]  # as before the first request

    def _parse_slice(self, data: bytes) -> None:
        began = time.thread_time()
        before = (self._in_headers, self._messages)
        if in_body := self._in_body:
            self._wire_bytes += len(data)
            self.scope[WIRE_BYTES] = self._wire_bytes  # type: ignore[typeddict-unknown-key]  # as above
        self._parse(data)
        if in_body and not self._in_body:
            self._goes_on()
        if self._in_body and self._wire_bytes > _FRAMING_BYTES + 2 * self._body_bytes:
            self._end(Code.BODY_TOO_LARGE, "more bytes frame the body's chunks than they contain; send larger chunks")
        if self._in_headers and self.parser is not None and not self._ends and not self.transport.is_closing():
            # The application sees headers only when they are complete, so incomplete headers are limited here.
            self._header_bytes += len(data) if before == (True, self._messages) else 0
            if self._header_bytes > self.most_header_bytes:
                self._end(Code.HEADERS_TOO_LARGE, "")
            else:
                self._watch()
        took = self._turns.parsed_since(began)
        self._intake.left -= took

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._end(*(self._refusal or (Code.INVALID_HEADER, "the request is not valid HTTP/1.1")))
        except httptools.HttpParserUpgrade as offer:
            self._pass_over_offer(data[offer.args[0] :])

    def _pass_over_offer(self, rest: bytes) -> None:
        """Begin the request's body as if the request had offered no upgrade; `rest` are the bytes after its headers.

        After an offered upgrade, the parser takes the following bytes for the new protocol. A new parser therefore gets
        the method and the framing headers, made from the parsed headers: so the result does not depend on where reads
        were split.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        self.headers[:] = [header for header in self.headers if header[0] != b"upgrade"]
        framing = [name + b": " + value + b"\r\n" for name, value in self.headers if name in _FRAMING]
        self._offers_upgrade, self._passes_over = False, True
        self.parser = self._new_parser()
        self._parse(b"".join([method, b" / HTTP/", version, b"\r\n", *framing, b"\r\n"]))
        if rest and not self._ends and not self.transport.is_closing():
            self._parse(rest)

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # Bytes after the last request of a connection get no response, and must not abort that request.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def on_message_begin(self) -> None:
        if self._passes_over:
            return
        # Only a request stops the idle timer. In uvicorn, any byte does.
        self._unset_keepalive_if_required()
        super().on_message_begin()
        self._messages += 1
        self._in_headers = True
        self._header_bytes = self._said_bytes = 0
        self._pieces = self._small_pieces = self._body_bytes = self._wire_bytes = self._announced = self._trailers = 0

    def on_url(self, url: bytes) -> None:
        if self._passes_over:
            return
        super().on_url(url)
        self._count(len(url))
        path, _, query = self.url.partition(b"?")
        in_path = path.count(b"%")
        if in_path > _MOST_ESCAPES_OF_PATH or in_path + query.count(b"%") > _MOST_ESCAPES:
            detail = (
                f"the URL has more than {_MOST_ESCAPES_OF_PATH} percent signs in its path, or {_MOST_ESCAPES} in all"
            )
            self._stop_parsing(Code.HEADERS_TOO_LARGE, detail)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._passes_over:
            return
        self._count(len(name) + len(value) + 4)
        if not self._in_headers:
            # Trailers are dropped. Proxies don't check them, and a trailer could override a header of the same name.
            self._trailers += 1
            if self._trailers > _MOST_TRAILERS:
                self._stop_parsing(Code.HEADERS_TOO_LARGE, f"the request has more than {_MOST_TRAILERS} trailers")
            return
        super().on_header(name, value)
        if len(self.headers) > _MOST_HEADERS:
            self._stop_parsing(Code.HEADERS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._in_headers = self._passes_over = False
        self._advanced = True
        self._unwatch()
        self._unset_keepalive_if_required()
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._stop_parsing(Code.INVALID_HEADER, "the method CONNECT is not supported")
            self._offers_upgrade = True
            return
        self._in_body = True
        if self.parser.get_http_version() == "1.0":
            # HTTP/1.0 has no interim responses such as 100 Continue.
            self.expect_100_continue = False
        super().on_headers_complete()
        self._stays = self.cycle.keep_alive
        for name, value in self.headers:
            if name == b"content-length":
                self._announced = int(value)
            if name == b"transfer-encoding" or self._announced > _LATE_BYTES:
                # A response that is sent before the body is complete announces the close of the connection.
                self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        if self._offers_upgrade:
            return
        self._in_body = False
        self._advanced = True
        self._take_place()
        self.cycle.keep_alive = self._stays
        self.scope[WHOLE_BODY] = True  # type: ignore[typeddict-unknown-key]  # ASGI lets servers add to it
        self.scope[CLOSE] = self.give_way  # type: ignore[typeddict-unknown-key]
        super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._advanced = True
        self._pieces += 1
        if self._pieces > _MOST_PIECES and self._body_bytes < _PIECE_BYTES * self._pieces:
            detail = f"the body has more than {_MOST_PIECES} chunks of less than {_PIECE_BYTES} bytes on average"
            self._stop_parsing(Code.BODY_TOO_LARGE, detail)

    def shutdown(self) -> None:
        self._stays = False
        self._unread.hasten()
        super().shutdown()
        self._lingering.hasten()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._take_place()
        if self._unparsed:
            self.reads_on()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin a request when its address's rate permits. Until then the connection may be closed for another one."""
        self._running = cycle
        # The waiting time begins with this request, and does not include the idle time before it.
        self.places.works(self)
        self._turns.begin(self.loop, partial(self._begin, cycle, app))
        if self._turns.waits:
            self.flow.pause_reading()
        self._take_place()

    def _begin(self, cycle: RequestResponseCycle, app: Any) -> None:
        if not self.transport.is_closing():
            self._take_place()
            self._goes_on()
            super()._start_asgi_task(cycle, self._turns.charged(app))

    def _take_place(self) -> None:
        """Mark the connection as working, or as waiting: for a request, its turn, its body, or a client that reads.

        While a request runs, the body of the request behind it does not count as waiting.
        """
        running = self._running
        if (
            running is None
            or running.response_complete
            or self._turns.waits
            or (self._in_body and running.scope is self.scope)
            or self.flow.write_paused
        ):
            self.places.waits(self)
        else:
            self.places.works(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        # The client does not read. The connection waits for it, and ends after a while.
        self._take_place()
        self._unread.begin()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._take_place()
        self._unread.end()

    def timeout_keep_alive_handler(self) -> None:
        if self._unparsed:
            # The next request has arrived, and waits for its turn.
            later = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
            self.timeout_keep_alive_task = later
            return
        self._lingering.close_at_once()

    def give_way(self) -> None:
        """Close the connection, which waits for its client, in favour of another."""
        metrics.HTTP_IDLE_CLOSED.inc()
        # The waiting request stays counted. Else an address could open new connections in place of old ones for free.
        self._turns.drop()
        self._lingering.close_at_once()

    def _count(self, size: int) -> None:
        self._said_bytes += size
        if self._said_bytes > self.most_header_bytes:
            self._stop_parsing(Code.HEADERS_TOO_LARGE)

    def _stop_parsing(self, code: Code, detail: str = "") -> None:
        self._refusal = code, detail
        raise httptools.HttpParserError(code.value)

    def _end(self, code: Code, detail: str) -> None:
        """Refuse a request that can't be parsed, and close the connection; earlier requests are answered first.

        No request gets two responses, or the response of another request.
        """
        if self._in_body and self.pipeline and self.pipeline[0][0].scope is self.scope:
            self.pipeline.popleft()
        last = self.pipeline[0][0] if self.pipeline else self._running
        if last is not None and self._in_body and last.scope is self.scope:
            if last.response_started:
                self.transport.close()
            else:
                self._refuse(code, detail)
        elif last is None or last.response_complete:
            self._refuse(code, detail)
        else:
            self._unwatch()
            self._ends = True
            last.keep_alive = False

    def _refuse(self, code: Code, detail: str = "") -> None:
        """Answer without the application, and close the connection."""
        self._unwatch()
        self.transport.write(refusal(code, detail))
        self.transport.close()
        self._count_refusal(code)

    @classmethod
    def _count_refusal(cls, code: Code, count: int = 1) -> None:
        REFUSED.count(code, None, requests=count)

    def _watch(self) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(self.header_seconds, self._late)

    def _unwatch(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _late(self) -> None:
        """Close a connection whose headers are not complete within the time limit."""
        self._header_timer = None
        # Unparsed bytes may contain the end of the headers. The timer starts again when they are parsed.
        if self._in_headers and not self._unparsed:
            self._lingering.close_at_once()

    def _is_midway(self) -> bool:
        """Return whether the client may still be sending a request that it has begun."""
        return self._turned_away or self._in_body or bool(self._unparsed) or (self._in_headers and self._messages > 0)
