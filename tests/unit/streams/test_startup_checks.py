"""The startup checks retry Kafka's requests while brokers are unavailable, for as long as the startup may wait."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from support.events.settled import settings_for

from schemas.config.settings import Settings
from schemas.errors import InvalidInput, PreconditionFailed, RunLocked, SinkUnavailable, StartRefused
from sinks.kafka.admin import KafkaAway
from streams import startup_checks
from streams.startup_checks import _of_kafka, is_lasting


class Kafka:
    """A client whose first `count` requests fail."""

    def __init__(self, away: int, error: Exception) -> None:
        self.away = away
        self.error = error
        self.asked = 0

    async def ask(self) -> str:
        self.asked += 1
        if self.asked <= self.away:
            raise self.error
        return "answer"


async def test_a_question_without_an_answer_is_asked_again() -> None:
    """A broker died after the startup had found Kafka healthy."""
    kafka = Kafka(2, KafkaAway("does not answer"))
    assert await _of_kafka(Settings(start_timeout="15s"), kafka.ask) == "answer"
    assert kafka.asked == 3


@pytest.mark.parametrize(
    ("error", "seconds"), [(KafkaAway("does not answer"), "1ms"), (PreconditionFailed("refused"), "15s")]
)
async def test_a_refusal_and_an_outage_that_lasts_end_the_start(error: Exception, seconds: str) -> None:
    """A refusal ends the startup immediately, an outage at its time limit."""
    kafka = Kafka(99, error)
    with pytest.raises(PreconditionFailed):
        await _of_kafka(Settings(start_timeout=seconds), kafka.ask)
    assert kafka.asked <= 2


@asynccontextmanager
async def kafka_answers(_settings: Settings) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize(
    ("sqlstate", "lasting"), [("28P01", True), ("3D000", True), ("22023", True), ("53300", False), (None, False)]
)
async def test_a_refused_login_lasts_and_an_outage_does_not(
    monkeypatch: pytest.MonkeyPatch, sqlstate: str | None, lasting: bool
) -> None:
    """After the first, a restart would fail too, so the supervisor of several processes ends them."""

    def connection(*_given: str) -> AbstractAsyncContextManager[Any]:
        raise SinkUnavailable("no", sqlstate=sqlstate)

    monkeypatch.setattr(startup_checks, "connection", connection)
    monkeypatch.setattr(startup_checks, "kafka_admin", kafka_answers)
    settings = settings_for("127.0.0.1:1", "postgresql://nobody@127.0.0.1:1/none", "t.", start_timeout="1ms")
    with pytest.raises(StartRefused) as refused:
        await startup_checks._answering(settings)
    assert is_lasting(refused.value) == lasting


def test_other_errors_at_start_last_if_settings_or_schema_are_wrong() -> None:
    """An error of Postgres may be the cause of the error."""
    assert is_lasting(InvalidInput("a setting"))
    assert is_lasting(StartRefused(["the schema lacks a migration"]))
    assert is_lasting(SinkUnavailable("no", sqlstate="28000"))
    assert not is_lasting(PreconditionFailed("a service is away at start"))
    assert not is_lasting(RunLocked("held"))
    for sqlstate, lasting in (("28000", True), ("57P03", False)):
        error = PreconditionFailed("refused")
        error.__cause__ = SinkUnavailable("no", sqlstate=sqlstate)
        assert is_lasting(error) == lasting
