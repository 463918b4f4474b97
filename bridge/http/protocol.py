"""uvicorn's HTTP protocol with bounds: on connections, on the size of headers, and on the time that they take."""

import asyncio
import json
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from bridge.http.body import WHOLE_BODY
from bridge.http.ids import request_ids
from bridge.http.problems import Code, Problem
from schemas.settings import Settings
from sinks import metrics

_MOST_HEADERS = 100


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Its bounds are the class's, set once in a process that serves."""

    most_header_bytes = 32 * 1024
    most_connections = 4000
    header_seconds = 10.0
    open_connections = metrics.GATEWAY_CONNECTIONS

    @classmethod
    def bound(cls, settings: Settings) -> None:
        """Takes the bounds from the settings."""
        cls.most_header_bytes = settings.gateway_max_header_bytes
        cls.most_connections = settings.gateway_max_connections
        cls.header_seconds = settings.seconds("gateway_header_timeout")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._header_bytes = 0
        self._said_bytes = 0
        self._messages = 0
        self._in_headers = True
        self._header_timer: asyncio.TimerHandle | None = None
        self._refusal: Code | None = None
        self._counted = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.open_connections.inc()
        self._counted = True
        if len(self.connections) > self.most_connections:
            self._refuse(Code.OVERLOADED)
            return
        # The first request's headers; uvicorn watches over the idle time after that.
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        if self._counted:
            self.open_connections.dec()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        before = (self._in_headers, self._messages)
        super().data_received(data)
        if self._in_headers and self.parser is not None and not self.transport.is_closing():
            # A header that never ends is told to nobody before it has ended.
            self._header_bytes += len(data) if before == (True, self._messages) else 0
            if self._header_bytes > self.most_header_bytes:
                self._refuse(Code.HEADERS_TOO_LARGE)
            else:
                self._watch()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._messages += 1
        self._in_headers = True
        self._header_bytes = self._said_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count(len(name) + len(value) + 4)
        if len(self.headers) > _MOST_HEADERS:
            self._stop_parsing(Code.HEADERS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._unwatch()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
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
        if self._in_headers and not self.transport.is_closing():
            self.transport.close()
