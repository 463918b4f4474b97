"""The manifests' probes and settings are those of the product."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from schemas.environment import unknown_variables

MANIFESTS = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
PORTS = {"worker": "BRIDGE_METRICS_PORT", "gateway": "BRIDGE_GATEWAY_PORT", "api": "BRIDGE_API_PORT"}
COMMANDS = {"worker": ["worker"], "gateway": ["gateway"], "api": ["api", "serve"]}


def documents(kind: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(MANIFESTS / f"{kind}.yaml"))


def container(kind: str) -> dict[str, Any]:
    (found,) = documents(kind)[0]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_each_process_has_a_manifest() -> None:
    """And none is there that this test does not know."""
    assert {path.stem for path in MANIFESTS.iterdir()} == set(PORTS)


@pytest.mark.parametrize("kind", PORTS)
def test_probes_ask_for_the_pages_that_there_are(kind: str) -> None:
    """Liveness asks nobody else: a service that is away kills nothing. That the pages are there, other tests ask."""
    found = container(kind)
    probes = {name: found[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    named = {one["name"]: one["containerPort"] for one in found["ports"]}
    variables = {one["name"]: one["value"] for one in found["env"]}

    assert {name: one["path"] for name, one in probes.items()} == {
        "startupProbe": "/health", "livenessProbe": "/health", "readinessProbe": "/ready",
    }  # fmt: skip
    assert {named[one["port"]] for one in probes.values()} == {int(variables[PORTS[kind]])}
    annotations = documents(kind)[0]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == variables[PORTS[kind]]
    assert found["args"] == COMMANDS[kind]


@pytest.mark.parametrize("kind", PORTS)
def test_its_variables_are_settings(kind: str) -> None:
    """A misspelt name would be ignored in silence."""
    assert unknown_variables({one["name"]: one["value"] for one in container(kind)["env"]}) == []


@pytest.mark.parametrize("kind", ["gateway", "api"])
def test_the_service_finds_its_pods(kind: str) -> None:
    """By their label, at the port that they name."""
    deployment, service = documents(kind)

    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] in {one["name"] for one in container(kind)["ports"]}
