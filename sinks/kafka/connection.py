"""Patches of aiokafka's connections, each for one kind of error that aiokafka does not handle.

These are writes to closed connections under uvloop, offset commits whose caller was cancelled, and SCRAM logins.
"""

import asyncio
from collections.abc import Callable
from functools import wraps
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason, ScramAuthenticator
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError

from sinks.scram import problem_of


def name_closed_connections() -> None:
    """Translate uvloop's error for a closed connection. Call this once in a process that runs on uvloop.

    asyncio ignores a write to a closed connection, but uvloop raises RuntimeError. aiokafka expects OSError only (its
    issue 1038). Without this patch the RuntimeError ends aiokafka's tasks, which fetch records, track the brokers and
    keep the group's membership.
    """
    for name in ("send", "_send_sasl_token"):
        _patch(AIOKafkaConnection, name, _named)


def _patch(kind: type, name: str, patched: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace a method by the patched one, unless it is patched already."""
    method = getattr(kind, name)
    if not hasattr(method, "__wrapped__"):
        setattr(kind, name, wraps(method)(patched(method)))


def _named(send: Callable[..., Any]) -> Callable[..., Any]:
    def send_or_say(connection: AIOKafkaConnection, *arguments: Any, **options: Any) -> Any:
        try:
            return send(connection, *arguments, **options)
        except RuntimeError as error:
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {connection.host}:{connection.port} closed: {error}") from error

    return send_or_say


def retrieve_commits() -> None:
    """Patch aiokafka to retrieve the error of an offset commit whose caller was cancelled.

    aiokafka shields the commit's request from the cancellation. Without this patch, if the request then fails, asyncio
    logs a traceback, because no caller retrieves the error.
    """
    _patch(GroupCoordinator, "_do_commit_offsets", _retrieved)


def _retrieved(commit: Callable[..., Any]) -> Callable[..., Any]:
    def begin(coordinator: GroupCoordinator, *arguments: Any) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.ensure_future(commit(coordinator, *arguments))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    return begin


def bound_scram() -> None:
    """Make each client of this process refuse a broker that asks for an excessive SCRAM iteration count.

    For an invalid SCRAM message, aiokafka raises errors that its clients do not handle. This patch translates these
    errors to AuthenticationFailedError, after which a client tries the next broker.
    """
    _patch(ScramAuthenticator, "process_server_first_message", _bounded)
    _patch(ScramAuthenticator, "step", _failing_as_one)


def _bounded(process: Callable[..., None]) -> Callable[..., None]:
    def look_and_process(authenticator: ScramAuthenticator, server_first: str) -> None:
        if (problem := problem_of(server_first.encode())) is not None:
            raise AuthenticationFailedError(problem)
        process(authenticator, server_first)

    return look_and_process


def _failing_as_one(step: Callable[..., Any]) -> Callable[..., Any]:
    async def step_or_say(authenticator: ScramAuthenticator, payload: bytes | None) -> Any:
        try:
            return await step(authenticator, payload)
        except (LookupError, ValueError) as error:
            raise AuthenticationFailedError(f"the broker sent an invalid SCRAM message: {error}") from error

    return step_or_say
