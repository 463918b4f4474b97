"""The dashboards equal their code, and Grafana's own types know each of their fields."""

import json
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.dashboards import DASHBOARDS, DIRECTORY, WIDTH, dashboard, files

register_default_plugins()


def lost(given: Any, kept: Any, where: str) -> list[str]:
    """Paths of values that were not kept as given."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return [one for name, value in given.items() for one in lost(value, kept.get(name, ...), f"{where}.{name}")]
    if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        return [one for at, pair in enumerate(zip(given, kept, strict=True)) for one in lost(*pair, f"{where}[{at}]")]
    return [] if given == kept else [where]


def test_the_files_are_as_the_code_says() -> None:
    """The dashboards' files equal what their code renders."""
    assert {path: path.read_text() for path in DIRECTORY.iterdir()} == files(), "renew them: python -m deploy"


@pytest.mark.parametrize("uid", sorted(DASHBOARDS))
def test_grafana_knows_every_field(uid: str) -> None:
    """Read into Grafana's own types and written again, every field is kept."""
    given = dashboard(uid)

    kept = json.loads(json.dumps(Dashboard.from_json(given), cls=JSONEncoder))

    assert lost(given, kept, uid) == []


@pytest.mark.parametrize("uid", sorted(DASHBOARDS))
def test_panels_lie_side_by_side(uid: str) -> None:
    """No panel covers another, and each row is full or the last."""
    cells = [
        (place["x"] + column, place["y"] + row)
        for panel in dashboard(uid)["panels"]
        for place in [panel["gridPos"]]
        for column in range(place["w"])
        for row in range(place["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < WIDTH
    assert len(dashboard(uid)["panels"]) >= 10
