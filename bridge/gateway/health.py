"""`/ready`: which of the gateway's services answer, and how quickly; asks at most once a second, and writes nothing."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from aiokafka.errors import KafkaError

from bridge.gateway.publisher import Publisher
from schemas.errors import BridgeError
from schemas.settings import Settings
from sinks.postgres import connection
from sinks.producer_registry import ProducerRegistry

_KEPT_SECONDS: Final = 1.0


def product_version() -> str:
    """The installed version."""
    try:
        return version("ghostlink-bridge")
    except PackageNotFoundError:
        return "unknown"


class Health:
    """Looks at Kafka, Postgres and the registry's copy."""

    def __init__(self, settings: Settings, producers: ProducerRegistry, publisher: Publisher) -> None:
        self._settings = settings
        self._producers = producers
        self._publisher = publisher
        self._turn = asyncio.Lock()
        self._found: tuple[float, int, dict[str, Any]] | None = None

    async def ready(self) -> tuple[int, dict[str, Any]]:
        """Status and body: 503 without Kafka or without any registry, 200 but `degraded` without Postgres."""
        async with self._turn:
            now = time.monotonic()
            if self._found is None or now - self._found[0] > _KEPT_SECONDS:
                self._found = (now, *await self._look())
            return self._found[1], self._found[2]

    async def _look(self) -> tuple[int, dict[str, Any]]:
        settings = self._settings
        kafka, postgres = await asyncio.gather(
            _asked(self._ask_kafka, settings.health_kafka_timeout_ms),
            _asked(self._ask_postgres, settings.health_postgres_timeout_ms),
        )
        read_at = self._producers.read_at
        components = {
            "kafka": "error" if kafka is None or self._publisher.stuck else "ok",
            "postgres": "error" if postgres is None else "ok",
            "registry": "error" if read_at is None else "ok",
        }
        able = components["kafka"] == components["registry"] == "ok"
        state = "unhealthy" if not able else "degraded" if components["postgres"] != "ok" else "healthy"
        body = {
            "status": "ready" if able else "not_ready",
            "state": state,
            "version": product_version(),
            "environment": settings.env,
            "components": components,
            "latency_ms": {"kafka": kafka, "postgres": postgres},
            "registry_age_seconds": None if read_at is None else round(time.monotonic() - read_at, 1),
        }
        return (200 if able else 503), body

    async def _ask_kafka(self) -> None:
        await self._publisher.look()

    async def _ask_postgres(self) -> None:
        async with connection(self._settings.dsn, "health") as conn:
            await conn.execute("SELECT 1")


async def _asked(ask: Callable[[], Awaitable[None]], most_ms: int) -> float | None:
    """How many milliseconds the answer took; None if there was none in time."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(most_ms / 1000):
            await ask()
    except (BridgeError, KafkaError, OSError):
        return None
    return round((time.perf_counter() - began) * 1000, 1)
