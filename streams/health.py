"""`/health` and `/ready` of a worker: whether it lives, and which of the services that it needs answer how quickly."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from schemas.errors import BridgeError
from schemas.settings import Settings
from sinks.metrics import product_version
from sinks.postgres import connection
from streams.lane import Lane
from streams.source import KafkaSource

ALIVE: Final = {"status": "healthy"}
_KEPT_SECONDS: Final = 1.0


class Health:
    """Asks at most once a second, however often it is asked, and writes nothing."""

    def __init__(self, settings: Settings, source: KafkaSource, lanes: Callable[[], Sequence[Lane]]) -> None:
        self._settings = settings
        self._source = source
        self._lanes = lanes
        self._turn = asyncio.Lock()
        self._found: tuple[float, int, dict[str, Any]] | None = None

    async def ready(self) -> tuple[int, dict[str, Any]]:
        """Status and body: 503 while Kafka or Postgres is away, 200 but `degraded` while a lane waits or owns nothing."""
        async with self._turn:
            now = time.monotonic()
            if self._found is None or now - self._found[0] > _KEPT_SECONDS:
                self._found = (now, *await self._look())
            return self._found[1], self._found[2]

    async def _look(self) -> tuple[int, dict[str, Any]]:
        settings = self._settings
        kafka, postgres = await asyncio.gather(
            _asked(self._source.cluster, settings.health_kafka_timeout_ms),
            _asked(self._ask_postgres, settings.health_postgres_timeout_ms),
        )
        lanes = self._lanes()
        components = {
            "kafka": "error" if kafka is None else "ok",
            "postgres": "error" if postgres is None else "ok",
            "lanes": "error" if not lanes or any(lane.waiting for lane in lanes) else "ok",
        }
        able = components["kafka"] == components["postgres"] == "ok"
        state = "unhealthy" if not able else "degraded" if components["lanes"] != "ok" else "healthy"
        body = {
            "status": "ready" if able else "not_ready",
            "state": state,
            "version": product_version(),
            "environment": settings.env,
            "components": components,
            "latency_ms": {"kafka": kafka, "postgres": postgres},
            "partitions": sum(len(lane.sources) for lane in lanes),
        }
        return (200 if able else 503), body

    async def _ask_postgres(self) -> None:
        async with connection(self._settings.dsn, "health") as conn:
            await conn.execute("SELECT 1")


async def _asked(ask: Callable[[], Awaitable[object]], most_ms: int) -> float | None:
    """How many milliseconds the answer took; None if there was none in time."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(most_ms / 1000):
            await ask()
    except (BridgeError, TimeoutError):
        return None
    return round((time.perf_counter() - began) * 1000, 1)
