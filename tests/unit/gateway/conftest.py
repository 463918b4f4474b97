"""Fixtures of the connection tests."""

import pytest
from support.processor_time import Clock

from bridge.gateway.admission import refused_events
from bridge.gateway.routes import validate
from bridge.http.wire import connection_turns as turns
from bridge.http.wire import cost
from bridge.http.wire.intake import Intake
from bridge.http.wire.reading import ReadingProtocol
from bridge.http.wire.small_pieces import SmallPieces


@pytest.fixture(autouse=True)
def _fresh_intakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the parsing budget of the loop's iteration between tests."""
    monkeypatch.setattr(ReadingProtocol, "first", Intake())
    monkeypatch.setattr(ReadingProtocol, "others", Intake())
    monkeypatch.setattr(ReadingProtocol, "slow", SmallPieces())


@pytest.fixture(autouse=True)
def _instant_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no check of an event take time, so that a loaded machine does not make events count as several."""
    monkeypatch.setattr(refused_events, "thread_time", lambda: 0.0)
    monkeypatch.setattr(validate, "thread_time", lambda: 0.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the processor time that parsing and requests take."""
    made = Clock()
    monkeypatch.setattr(cost, "time", made)
    monkeypatch.setattr("bridge.http.wire.protocol.time", made)
    for name in ("_READ_SECONDS", "_OPENED_SECONDS"):
        monkeypatch.setattr(turns, name, 0.0)
    return made
