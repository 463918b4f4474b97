"""The readiness of a process: which of the services that it needs answer, and how fast."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.errors import KafkaError

from schemas.config.settings import Settings
from schemas.errors import BridgeError
from sinks.postgres.connection import connection
from telemetry.metrics import product_version

ALIVE: Final = {"status": "healthy"}
"""The body of `/health`: a process that answers is alive."""

NOT_READY: Final = {"status": "not_ready", "state": "unhealthy"}
"""The body of `/ready` while no services are known yet, or after the process has failed."""

_KEPT_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Needs:
    """What one kind of process needs besides Kafka and Postgres, and which components it can't serve without.

    `ask_kafka` is called to query Kafka, and raises if Kafka does not answer. `own` returns whether each of the
    process's own components is healthy. `figures` returns fields that are added to the body of `/ready`. `vital` has
    the names of components without which the process is not ready.
    """

    ask_kafka: Callable[[], Awaitable[object]]
    own: Callable[[], Mapping[str, bool]]
    figures: Callable[[], Mapping[str, Any]]
    vital: frozenset[str]


class Readiness:
    """The answer to requests of `/ready`.

    Kafka and Postgres are queried at most once a second, however many requests arrive. Nothing is written.
    """

    def __init__(self, settings: Settings, needs: Needs) -> None:
        self._settings = settings
        self._needs = needs
        self._turn = asyncio.Lock()
        self._found: tuple[float, int, dict[str, Any]] | None = None

    async def ready(self) -> tuple[int, dict[str, Any]]:
        """Return HTTP status and body: 503 if a vital component fails, 200 with `degraded` if only others fail."""
        async with self._turn:
            now = time.monotonic()
            if self._found is None or now - self._found[0] > _KEPT_SECONDS:
                self._found = (now, *await self._look())
            return self._found[1], self._found[2]

    async def _look(self) -> tuple[int, dict[str, Any]]:
        kafka, postgres = await asyncio.gather(
            _asked(self._needs.ask_kafka, self._settings.health_kafka_timeout_ms),
            _asked(self._ask_postgres, self._settings.health_postgres_timeout_ms),
        )
        well = {"kafka": kafka is not None, "postgres": postgres is not None, **self._needs.own()}
        able = all(well[name] for name in self._needs.vital)
        body = {
            "status": "ready" if able else "not_ready",
            "state": "unhealthy" if not able else "healthy" if all(well.values()) else "degraded",
            "version": product_version(),
            "environment": self._settings.env,
            "components": {name: "ok" if one else "error" for name, one in well.items()},
            "latency_ms": {"kafka": kafka, "postgres": postgres},
            **self._needs.figures(),
        }
        return (200 if able else 503), body

    async def _ask_postgres(self) -> None:
        async with connection(self._settings.dsn, "health") as conn:
            await conn.execute("SELECT 1")


async def _asked(ask: Callable[[], Awaitable[object]], most_ms: int) -> float | None:
    """Return how many milliseconds the query `ask` took; None if it failed or took longer than `most_ms`."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(most_ms / 1000):
            await ask()
    except (BridgeError, KafkaError, OSError):
        return None
    return round((time.perf_counter() - began) * 1000, 1)
