"""Fixtures of the tests of the line."""

from collections.abc import AsyncIterator

import pytest
from support.line import Clock
from support.processes.lone_gateway import LoneGateway, lone_gateway

from bridge.gateway.admission import line
from sinks import cooperative


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the cooperative slices."""
    made = Clock()
    monkeypatch.setattr(cooperative, "time", made)
    monkeypatch.setattr(line, "_slice_clock", made.thread_time)
    return made


@pytest.fixture
async def gateway() -> AsyncIterator[LoneGateway]:
    async with lone_gateway() as made:
        yield made
