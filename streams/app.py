"""The module that `faust -A streams.app worker` imports. Its attribute `app` is created at the first access."""

from typing import Any

from schemas.config.service import Service
from schemas.config.settings import load_settings
from schemas.errors import BridgeError
from streams.faust_host.app import App, create_app
from streams.startup_checks import judge_settings
from telemetry.error_reports import reporter
from telemetry.logging import configure_logs
from telemetry.terminal import say_error


def _guarded_app() -> App:
    """Create the Faust app, or end the process if the product's settings are invalid or not allowed in production.

    This happens before the app exists, because Faust's own clients connect to Kafka before any service of the app could
    check the settings.
    """
    try:
        settings = load_settings()
        judge_settings(settings, Service.WORKER)
        service = "bridge-worker"
        configure_logs(settings.log_level, settings.log_format, service, report=reporter(settings, service))
        return create_app(settings)
    except BridgeError as error:
        say_error(error)
        raise SystemExit(error.exit_code) from None


def __getattr__(name: str) -> Any:
    if name == "app":
        globals()["app"] = made = _guarded_app()
        return made
    raise AttributeError(name)
