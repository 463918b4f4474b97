"""The operators' pages: rendered rarely, for any number of requests."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from support.processes.lone_gateway import LoneGateway, lone_gateway

from bridge.gateway import app
from bridge.http import exposition, framework
from bridge.http.exposition import Exposition


@pytest.fixture
async def gateway() -> AsyncIterator[LoneGateway]:
    async with lone_gateway(gateway_address_requests_per_second=0) as made:
        yield made


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[None]:
    """The number of calls of that function."""
    calls: list[None] = []
    original: Callable[..., Any] = getattr(module, name)

    def called(*arguments: Any) -> Any:
        calls.append(None)
        return original(*arguments)

    monkeypatch.setattr(module, name, called)
    return calls


def test_figures_are_made_once_a_second_after_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    """All requests share one rendering."""
    made, now = counted(monkeypatch, exposition, "generate_latest"), 5.0
    page = Exposition(lambda: now).page
    pages = [page() for _ in range(100)]
    assert len(made) == 10
    assert pages[9] is pages[99]
    now += 1.0
    assert page() is not pages[99]
    assert page() is page()
    assert len(made) == 11


async def test_documents_are_made_once(gateway: LoneGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents are the same for every caller."""
    pages, documents = counted(monkeypatch, framework, "docs_page"), counted(monkeypatch, app, "completed")
    for path in ("/docs", "/openapi.json"):
        answers = [await gateway.ask("GET", path) for _ in range(10)]
        assert {one.status for one in answers} == {200}
        assert len({one.content for one in answers}) == 1
    assert (len(pages), len(documents)) == (1, 1)
