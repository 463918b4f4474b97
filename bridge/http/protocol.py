"""uvicorn's HTTP protocol with bounds: on connections, on the size of headers, and on the time that they take."""

import asyncio
import json
import re
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from bridge.http.body import WHOLE_BODY
from bridge.http.ids import request_ids
from bridge.http.lingering import LingeringTransport
from bridge.http.problems import Code, Problem
from schemas.settings import Settings
from sinks import metrics

_MOST_HEADERS = 100
_MOST_PIPELINED = 16
_UPGRADE = re.compile(rb"\r\nupgrade(?=[ \t]*:)", re.IGNORECASE)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Its bounds are the class's, set once in a process that serves."""

    most_header_bytes = 32 * 1024
    most_connections = 4000
    admin_port = 0
    header_seconds = 10.0
    open_connections = metrics.GATEWAY_CONNECTIONS

    @classmethod
    def bound(cls, settings: Settings) -> None:
        """Takes the bounds from the settings."""
        cls.most_header_bytes = settings.gateway_max_header_bytes
        cls.admin_port = settings.gateway_admin_port
        cls.most_connections = settings.gateway_max_connections
        cls.header_seconds = settings.seconds("gateway_header_timeout")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._header_bytes = 0
        self._said_bytes = 0
        self._messages = 0
        self._in_headers = True
        self._in_body = False
        self._header_timer: asyncio.TimerHandle | None = None
        self._refusal: Code | None = None
        self._counted = False
        self._hangs_up = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self._lingering = LingeringTransport(transport, self._is_midway)
        super().connection_made(self._lingering)  # type: ignore[arg-type]  # all that uvicorn asks of one
        self.open_connections.inc()
        self._counted = True
        # Whoever takes all connections of the public port must not make the service look unready.
        is_admin = transport.get_extra_info("sockname")[1] == self.admin_port
        if len(self.connections) > self.most_connections and not is_admin:
            self._refuse(Code.OVERLOADED)
            return
        # The first request's headers; uvicorn watches over the idle time after that.
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super()._unset_keepalive_if_required()
        if self._counted:
            self.open_connections.dec()
        self._lingering.lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            self._lingering.drop(len(data))
            return
        before = (self._in_headers, self._messages)
        super().data_received(data if self._in_body else _without_upgrade(data))
        if self._in_headers and self.parser is not None and not self.transport.is_closing():
            # A header that never ends is told to nobody before it has ended.
            self._header_bytes += len(data) if before == (True, self._messages) else 0
            if self._header_bytes > self.most_header_bytes:
                self._refuse(Code.HEADERS_TOO_LARGE)
            else:
                self._watch()

    def _unset_keepalive_if_required(self) -> None:
        """Only a request ends an idle time. To uvicorn any byte does; but the rest of a refused body holds none up."""

    def on_message_begin(self) -> None:
        super()._unset_keepalive_if_required()
        super().on_message_begin()
        self._messages += 1
        self._in_headers = True
        self._header_bytes = self._said_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        if not self._in_headers:
            # A trailer, which no proxy has looked at, must not stand where the last of equal headers counts.
            return
        super().on_header(name, value)
        if len(self.headers) > _MOST_HEADERS:
            self._stop_parsing(Code.HEADERS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._in_body = True
        self._unwatch()
        super()._unset_keepalive_if_required()
        super().on_headers_complete()
        if len(self.pipeline) > _MOST_PIPELINED:
            # Each request that is read lets uvicorn read more of them than are answered meanwhile.
            self._hangs_up = True
            raise httptools.HttpParserError("too many requests at once")

    def on_message_complete(self) -> None:
        self._in_body = False
        self.scope[WHOLE_BODY] = True  # type: ignore[typeddict-unknown-key]  # ASGI lets servers add to it
        super().on_message_complete()

    def _count(self, size: int) -> None:
        self._said_bytes += size
        if self._said_bytes > self.most_header_bytes:
            self._stop_parsing(Code.HEADERS_TOO_LARGE)

    def _stop_parsing(self, code: Code) -> None:
        self._refusal = code
        raise httptools.HttpParserError(code.value)

    def send_400_response(self, msg: str) -> None:
        if self._hangs_up:
            # An answer now would be taken for that of the request in hand.
            self.transport.close()
        else:
            self._refuse(self._refusal or Code.INVALID_HEADER, msg)

    def _refuse(self, code: Code, detail: str = "") -> None:
        """Answers without an application, and hangs up."""
        self._unwatch()
        answer = Problem(code, detail).answer(request_ids({}))
        document = json.loads(answer.body)
        lines = [STATUS_LINE[answer.status]]
        for name, value in [*answer.headers, (b"content-length", str(len(answer.body)).encode())]:
            if name != b"connection":
                lines.append(name + b": " + value + b"\r\n")
        lines += [b"x-request-id: ", document["request_id"].encode(), b"\r\n"]
        self.transport.write(b"".join([*lines, b"connection: close\r\n\r\n", answer.body]))
        self.transport.close()
        self._count_refusal(code)

    def _count_refusal(self, code: Code) -> None:
        metrics.rejected(code.value, None)

    def _watch(self) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(self.header_seconds, self._late)

    def _unwatch(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _late(self) -> None:
        """Headers that take too long are not waited for, however they trickle in."""
        self._header_timer = None
        if self._in_headers:
            self._lingering.close_at_once()

    def _is_midway(self) -> bool:
        """Whether the client may still be sending the request that it began."""
        return self._in_body or (self._in_headers and self._messages > 0)


def _without_upgrade(data: bytes) -> bytes:
    """The same without the offer of another protocol, with which Java's client comes: the parser would drop the body."""
    end = data.find(b"\r\n\r\n")
    if _UPGRADE.search(data, 0, len(data) if end < 0 else end) is None:
        return data
    head = data if end < 0 else data[:end]
    return _UPGRADE.sub(b"\r\nx-asked", head) + data[len(head) :]
