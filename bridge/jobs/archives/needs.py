"""What jobs of archives need."""

from schemas.config.service import Service
from schemas.config.settings import Settings
from streams.startup_checks import ready_for_archives


async def postgres_with_schema(settings: Settings, service: Service, _look_only: bool) -> None:
    """Wait for Postgres with the schema of this release."""
    await ready_for_archives(settings, service)
