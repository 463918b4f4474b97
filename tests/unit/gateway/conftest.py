"""What the tests of connections share."""

import pytest

from bridge.http.intake import Intake
from bridge.http.reading import ReadingProtocol


@pytest.fixture(autouse=True)
def _fresh_intakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test before has parsed takes nothing of an iteration of this one."""
    monkeypatch.setattr(ReadingProtocol, "first", Intake())
    monkeypatch.setattr(ReadingProtocol, "others", Intake())
