"""A transport for the Python client that raises every possible exception at every await of the client, by a seed."""

import asyncio
import errno
import http.cookies
import json
import random
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest


class Alien(BaseException):
    """A library's exception that is not an Exception."""


KINDS: list[Callable[[], BaseException]] = [
    aiohttp.ClientConnectionError,
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientPayloadError,
    aiohttp.ServerTimeoutError,
    lambda: aiohttp.InvalidURL("http://x"),
    lambda: OSError(errno.EMFILE, "Too many open files"),
    lambda: socket.gaierror(-3, "Temporary failure in name resolution"),
    ssl.SSLError,
    ConnectionResetError,
    BrokenPipeError,
    TimeoutError,
    asyncio.CancelledError,
    asyncio.InvalidStateError,
    asyncio.QueueFull,
    lambda: asyncio.IncompleteReadError(b"", 3),
    http.cookies.CookieError,
    zlib.error,
    lambda: json.JSONDecodeError("Expecting value", "", 0),
    lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    RuntimeError,
    NotImplementedError,
    RecursionError,
    MemoryError,
    OverflowError,
    ZeroDivisionError,
    StopAsyncIteration,
    EOFError,
    lambda: ExceptionGroup("two", [ValueError(), OSError()]),
    lambda: BaseExceptionGroup("one", [Alien()]),
    Alien,
]


class Faults:
    """Raises `count` times, at about every third place; `injected` lists places and exceptions."""

    def __init__(self, seed: int, count: int) -> None:
        self._random = random.Random(seed)
        self._left = count
        self.injected: list[tuple[str, str]] = []

    def at(self, place: str) -> None:
        """Raise an exception for this place, or return."""
        # A session is opened only once, so this place is rare.
        if self._left and self._random.random() < (0.9 if place == "open" else 0.3):
            self._left -= 1
            error = self._random.choice(KINDS)()
            self.injected.append((place, type(error).__name__))
            raise error


class FaultySession:
    """A real session with faults around each step of a post, also after the gateway accepted the batch."""

    def __init__(self, faults: Faults, real: aiohttp.ClientSession) -> None:
        self._faults = faults
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def post(self, *words: Any, **options: Any) -> Any:
        """As ClientSession.post."""
        self._faults.at("call")
        return self._posted(*words, **options)

    @asynccontextmanager
    async def _posted(self, *words: Any, **options: Any) -> AsyncIterator[Any]:
        self._faults.at("connect")
        async with self._real.post(*words, **options) as answer:
            self._faults.at("headers")
            yield FaultyAnswer(self._faults, answer)
            self._faults.at("release")


class FaultyAnswer:
    """A response whose body may fail."""

    def __init__(self, faults: Faults, real: aiohttp.ClientResponse) -> None:
        self._faults = faults
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    @property
    def content(self) -> "FaultyAnswer":
        """As ClientResponse.content."""
        return self

    async def iter_any(self) -> AsyncIterator[bytes]:
        """As StreamReader.iter_any."""
        self._faults.at("before the body")
        async for piece in self._real.content.iter_any():
            yield piece
        self._faults.at("after the body")


def inject(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the faults into every session of the client, and remove its pauses."""
    real = aiohttp.ClientSession

    def session(**options: Any) -> FaultySession:
        faults.at("open")
        return FaultySession(faults, real(**options))

    monkeypatch.setattr("bridge.client.sender.aiohttp.ClientSession", session)
    monkeypatch.setattr("bridge.client.sender.pause", lambda *_: 0.0)
