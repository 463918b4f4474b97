"""The manifest's probes and settings are those of the product."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from schemas.environment import unknown_variables

MANIFEST = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes" / "worker.yaml"


def container() -> dict[str, Any]:
    (found,) = YAML(typ="safe", pure=True).load(MANIFEST)["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_probes_ask_for_the_pages_of_a_worker() -> None:
    """Liveness asks nobody else: a service that is away kills no worker. That the pages are there, another test asks."""
    probes = {name: container()[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    named = {one["name"]: one["containerPort"] for one in container()["ports"]}
    variables = {one["name"]: one["value"] for one in container()["env"]}

    assert {name: one["path"] for name, one in probes.items()} == {
        "startupProbe": "/health", "livenessProbe": "/health", "readinessProbe": "/ready",
    }  # fmt: skip
    assert {named[one["port"]] for one in probes.values()} == {int(variables["BRIDGE_METRICS_PORT"])}


def test_its_variables_are_settings() -> None:
    """A misspelt name would be ignored in silence."""
    assert unknown_variables({one["name"]: one["value"] for one in container()["env"]}) == []
