"""What must hold before a worker starts: services that answer, and a schema and topics that are not behind."""

import structlog

from schemas.errors import BridgeError, EnvironmentUnfit, InvalidInput, SinkUnavailable
from schemas.settings import Settings
from sinks.migrate import migrate, pending
from sinks.topics_admin import apply_topics, check_topics

log = structlog.get_logger(__name__)


async def ready(settings: Settings, *, look_only: bool = False) -> None:
    """Development brings schema and topics up to date by itself; elsewhere, or to `look_only`, what is behind is refused.

    Raises EnvironmentUnfit.
    """
    try:
        missing = await pending(settings.dsn)
    except (EnvironmentUnfit, InvalidInput):
        raise
    except BridgeError as error:
        raise EnvironmentUnfit(f"Postgres is away at start: {error}") from error
    if settings.env == "development" and not look_only:
        try:
            made = await migrate(settings.dsn, months_ahead=settings.partitions_ahead)
        except SinkUnavailable as error:
            raise EnvironmentUnfit(f"Postgres can't be brought up to date at start: {error}") from error
        for name in made:
            log.info("migrated", migration=name)
        await apply_topics(settings)
        return
    if missing:
        raise EnvironmentUnfit(f"the schema is behind by {', '.join(missing)}; run `bridge db migrate`")
    if differences := await check_topics(settings):
        raise EnvironmentUnfit(f"topics are not as declared: {'; '.join(differences)}; run `bridge topics apply`")
