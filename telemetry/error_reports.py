"""Error reports to Sentry.

Error reports are off unless BRIDGE_SENTRY_DSN is set. A report has only what the redacted log line has.
"""

from importlib.util import find_spec
from typing import Final

from structlog.typing import EventDict, Processor, WrappedLogger

from schemas.config.settings import Settings
from schemas.errors import InvalidInput
from telemetry.metrics import product_version

_TOLD: Final = ("error", "critical")
_FLUSH_SECONDS: Final = 2.0


def reporter(settings: Settings, service: str) -> Processor | None:
    """Return the structlog processor that reports logged errors to Sentry; None if BRIDGE_SENTRY_DSN is not set.

    The processor must be the last one before a log line is written.

    Raises InvalidInput if Sentry's client is not installed, or if the client refuses the DSN.
    """
    if settings.sentry_dsn is None:
        return None
    if find_spec("sentry_sdk") is None:
        raise InvalidInput("BRIDGE_SENTRY_DSN is set, but Sentry's client is missing: install ghostlink-bridge[sentry]")
    import atexit

    import sentry_sdk
    from sentry_sdk.utils import BadDsn

    try:
        # Without integrations the client collects nothing by itself: no variables of frames, no requests, no other
        # loggers.
        sentry_sdk.init(
            settings.sentry_dsn.get_secret_value(),
            environment=settings.env,
            release=product_version(),
            default_integrations=False,
            auto_enabling_integrations=False,
            max_breadcrumbs=0,
            shutdown_timeout=_FLUSH_SECONDS,
        )
    except BadDsn as error:
        raise InvalidInput(f"BRIDGE_SENTRY_DSN is not an address of Sentry: {error}") from None
    atexit.register(sentry_sdk.flush, _FLUSH_SECONDS)

    def tell(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if event.get("level") in _TOLD:
            sentry_sdk.capture_event(
                {
                    "message": str(event.get("event")),
                    "level": "fatal" if event["level"] == "critical" else "error",
                    "logger": str(event.get("logger")),
                    "tags": {"service": service},
                    # Lines with the same event are one issue, regardless of their records, partitions and times.
                    "fingerprint": [str(event.get("logger")), str(event.get("event"))],
                    "extra": {name: value for name, value in event.items() if name not in ("event", "level", "logger")},
                }
            )
        return event

    return tell
