"""Checks at the start of a process: safe settings in production, services that answer, and current schema and topics.

Every process that commits events calls `ready` first: `bridge worker`, the app under Faust, and every job of
bridge/jobs.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

import structlog

from schemas.config.overlap import ENDS_WITH
from schemas.config.production import refusals
from schemas.config.service import Service
from schemas.config.settings import Settings
from schemas.errors import BridgeError, InvalidInput, PreconditionFailed, RowRejected, SinkUnavailable, StartRefused
from sinks.kafka.admin import KafkaAway, kafka_admin
from sinks.kafka.topics import apply_topics, check_topics
from sinks.postgres.connection import connection
from sinks.postgres.poolers import demand_sessions
from sinks.postgres.schema.check import blocking_differences, excess_privileges
from sinks.postgres.schema.migrate import migrate, pending
from sinks.refusals import refusal
from streams.worker.backoff import Backoff

# Waiting does not correct a wrong password, database or option.
_HOPELESS = ("22", "28", "3D")

T = TypeVar("T")
log = structlog.get_logger(__name__)


async def ready(settings: Settings, service: Service, *, look_only: bool = False) -> None:
    """Wait for Kafka and Postgres, then check the database schema and the topics.

    In development, outdated schema and topics are updated, unless `look_only` is True; in production the start fails.
    Production's settings are checked before any connection is made. The database account's privileges are checked for
    `service`. Raises StartRefused with all reasons, or PreconditionFailed.
    """
    judge_settings(settings, service)
    await _answering(settings)
    try:
        await demand_sessions(settings.dsn)
        if settings.env == "development" and not look_only:
            for name in await migrate(settings.dsn, months_ahead=settings.partitions_ahead):
                log.info("migrated", migration=name)
            await _of_kafka(settings, lambda: apply_topics(settings))
            return
        _refuse([*await _schema(settings, service), *await _topics(settings)])
    except (SinkUnavailable, RowRejected) as error:
        raise PreconditionFailed(refusal(error, "at start")) from error


async def ready_for_backups(settings: Settings, service: Service) -> None:
    """Wait for Postgres alone. A backup needs no Kafka, and is made before the schema is migrated too.

    Raises StartRefused with all reasons, or PreconditionFailed.
    """
    judge_settings(settings, service)
    postgres = await _problem(
        partial(_ask_postgres, settings), _budget(settings, for_ever=settings.startup_without_postgres)
    )
    _refuse([refusal(postgres, "at start")] if postgres else [], away=not _is_hopeless(postgres))
    try:
        await demand_sessions(settings.dsn)
    except (SinkUnavailable, RowRejected) as error:
        raise PreconditionFailed(refusal(error, "at start")) from error


async def ready_for_archives(settings: Settings, service: Service) -> None:
    """Wait for Postgres, and check its schema. An archive needs no Kafka. Raises StartRefused, or PreconditionFailed."""
    await ready_for_backups(settings, service)
    try:
        _refuse(await _schema(settings, service))
    except (SinkUnavailable, RowRejected) as error:
        raise PreconditionFailed(refusal(error, "at start")) from error


def judge_settings(settings: Settings, service: Service) -> None:
    """Check, in production, that the settings are safe. Makes no connection. Raises StartRefused."""
    if settings.env == "production":
        _refuse(refusals(settings, service=service))


def _refuse(lines: Iterable[str], *, away: bool = False) -> None:
    if problems := list(lines):
        raise StartRefused(problems, away=away)


def is_lasting(error: BridgeError) -> bool:
    """Return whether a later start would fail with the same error, and not only while a service is away."""
    if isinstance(error, StartRefused):
        return not error.away
    if isinstance(error, InvalidInput):
        return True
    return any(_is_hopeless(one) for one in (error, error.__cause__))


def _is_hopeless(error: BaseException | None) -> bool:
    return (getattr(error, "sqlstate", None) or "").startswith(_HOPELESS)


async def _answering(settings: Settings) -> None:
    """Wait until Kafka and Postgres answer.

    Each may take as long as the setting of the start time-out, or without limit if a setting allows it.
    """

    async def ask_kafka() -> None:
        async with kafka_admin(settings):
            pass

    # Errors for missing settings and unreadable files are raised immediately; the request is not repeated.
    _ = settings.dsn, settings.kafka_client()
    postgres, kafka = await asyncio.gather(
        _problem(partial(_ask_postgres, settings), _budget(settings, for_ever=settings.startup_without_postgres)),
        _problem(ask_kafka, _budget(settings, for_ever=settings.startup_without_kafka)),
    )
    lines = [*([refusal(postgres, "at start")] if postgres else []), *([str(kafka)] if kafka else [])]
    _refuse(lines, away=not _is_hopeless(postgres))


async def _ask_postgres(settings: Settings) -> None:
    async with connection(settings.dsn, "start") as conn:
        await conn.execute("SELECT 1")


def _budget(settings: Settings, *, for_ever: bool) -> float:
    return float("inf") if for_ever else settings.start_timeout.seconds


async def _of_kafka(settings: Settings, ask: Callable[[], Awaitable[T]]) -> T:
    """Return the result of `ask`, a request to Kafka.

    A broker may fail between two requests, so a request without an answer is repeated until the start time-out.
    """
    seconds = _budget(settings, for_ever=settings.startup_without_kafka)
    return await _answer(ask, seconds, Backoff(random.random), KafkaAway)


async def _problem(ask: Callable[[], Awaitable[None]], seconds: float) -> BridgeError | None:
    """Return None once a service answers, or its last error if it does not answer within `seconds`."""
    backoff = Backoff(random.random)
    try:
        await _answer(ask, seconds, backoff, BridgeError)
    except BridgeError as error:
        return error
    backoff.succeeded("start")
    return None


async def _answer(ask: Callable[[], Awaitable[T]], seconds: float, backoff: Backoff, repeated: type[BridgeError]) -> T:
    """Return the result of `ask`, which is repeated after an error of the class `repeated` until `seconds` are over."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await ask()
        except repeated as error:
            left = deadline - time.monotonic()
            if left <= 0 or _is_hopeless(error):
                raise
            await asyncio.sleep(min(backoff.failed("start", error), left))


async def _schema(settings: Settings, service: Service) -> list[str]:
    if missing := await pending(settings.dsn):
        return [f"the schema lacks the migrations {', '.join(missing)}: run `bridge db migrate`"]
    if not _is_strict(settings):
        return []
    return [
        f"the database differs from what this release needs: {line}"
        for line in await blocking_differences(settings.dsn, service)
    ]


def _is_strict(settings: Settings) -> bool:
    return settings.env == "production" or settings.strict_db_mode


async def warn_of_excess(settings: Settings, service: Service) -> None:
    """Log which privileges the service's database account has but does not need, if privileges are checked.

    The release ENDS_WITH will refuse to start with them. Raises PreconditionFailed if Postgres is away.
    """
    if not _is_strict(settings):
        return
    try:
        for line in await excess_privileges(settings.dsn, service):
            log.warning(
                "account_has_excess_privileges", service=service, excess=line, refused_from=ENDS_WITH,
                remedy=f"run `bridge db grants ROLE --service {service}` as the owner",
            )  # fmt: skip
    except (SinkUnavailable, RowRejected) as error:
        raise PreconditionFailed(refusal(error, "at start")) from error


async def _topics(settings: Settings) -> list[str]:
    return [
        f"topic differs from its declaration: {line}; `bridge topics apply` corrects what Kafka can change"
        for line in await _of_kafka(settings, lambda: check_topics(settings))
    ]
