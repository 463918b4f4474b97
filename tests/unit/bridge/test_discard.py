"""The question of `bridge dlq discard` before it closes dead letters."""

import sys
from typing import Any

import pytest

from bridge.cli.dlq import discard
from schemas.config.settings import Settings
from schemas.documents.dead_letter_filter import DeadLetterFilter, Disposition


@pytest.mark.parametrize(("persisted", "final"), [(False, True), (True, False)])
def test_the_question_says_that_a_discard_is_final(
    monkeypatch: pytest.MonkeyPatch, persisted: bool, final: bool
) -> None:
    """For persisted events the warning is left out, because nothing is lost."""
    asked: list[str] = []

    async def count(*_: object) -> dict[Disposition, int]:
        return {Disposition.OPEN: 12}

    def confirm(text: str, **_: Any) -> bool:
        asked.append(text)
        return False

    monkeypatch.setenv("BRIDGE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setattr(discard, "count", count)
    monkeypatch.setattr(discard.typer, "confirm", confirm)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)

    assert not discard._agreed(Settings(), DeadLetterFilter(), persisted=persisted)
    (text,) = asked
    assert "12 dead letters" in text
    assert ("no replay can send them afterwards" in text) == final
