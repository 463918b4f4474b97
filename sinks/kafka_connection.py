"""A connection to Kafka that is closed says so under uvloop as well, by aiokafka's own error."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError


def name_closed_connections() -> None:
    """To be called once by a process that runs on uvloop.

    Where asyncio takes what is written to a closed connection in silence, uvloop raises RuntimeError. aiokafka expects
    OSError only (its issue 1038): the tasks that fetch, that know the brokers and that keep the group's membership
    would die of it, and the client with them.
    """
    for name in ("send", "_send_sasl_token"):
        setattr(AIOKafkaConnection, name, _named(getattr(AIOKafkaConnection, name)))


def _named(send: Callable[..., Any]) -> Callable[..., Any]:
    if hasattr(send, "__wrapped__"):
        return send

    @wraps(send)
    def send_or_say(connection: AIOKafkaConnection, *arguments: Any, **options: Any) -> Any:
        try:
            return send(connection, *arguments, **options)
        except RuntimeError as error:
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {connection.host}:{connection.port} closed: {error}") from error

    return send_or_say
