"""The startup checks retry Kafka's requests while brokers are unavailable, for as long as the startup may wait."""

import pytest

from schemas.config.settings import Settings
from schemas.errors import PreconditionFailed
from sinks.kafka.admin import KafkaAway
from streams.startup_checks import _of_kafka


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
