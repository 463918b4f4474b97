"""The Kubernetes manifests: probes, settings, secrets and policies agree with the product."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from schemas.config.environment import unknown_variables
from schemas.config.production import refusals
from schemas.config.service import PROCESSES, SERVICES, Service
from schemas.config.settings import Settings

MANIFESTS = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
PROMETHEUS = MANIFESTS.parent / "prometheus"
PORTS = {
    "worker": {"http": "BRIDGE_METRICS_PORT"},
    "gateway": {"http": "BRIDGE_GATEWAY_PORT", "admin": "BRIDGE_GATEWAY_ADMIN_PORT"},
    "api": {"http": "BRIDGE_API_PORT", "admin": "BRIDGE_API_ADMIN_PORT"},
}
COMMANDS = {"worker": ["worker"], "gateway": ["gateway"], "api": ["api", "serve"]}
SECRETS = {
    "worker": {"BRIDGE_GATEWAY_PROOF_KEY", "BRIDGE_WORKER_ALERT_WEBHOOK", "BRIDGE_WORKER_ALERT_WEBHOOK_SECRET"},
    "gateway": {"BRIDGE_GATEWAY_PROOF_KEY", "BRIDGE_SECRET_KEY"},
    "api": {"BRIDGE_GATEWAY_PROOF_KEY", "BRIDGE_WORKER_ALERT_WEBHOOK", "BRIDGE_WORKER_ALERT_WEBHOOK_SECRET"},
    "owner": set(),
}
"""The secrets of each service, without the accounts in Postgres and Kafka."""
ACCOUNTS = {"BRIDGE_DATABASE_URL", "BRIDGE_KAFKA_SASL_USERNAME", "BRIDGE_KAFKA_SASL_PASSWORD"}


def documents(kind: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe", pure=True).load_all(MANIFESTS / f"{kind}.yaml"))


def pod(service: str) -> dict[str, Any]:
    """Load the template of a service's pods."""
    found = documents("migrate" if service == "owner" else service)[0]["spec"]
    template: dict[str, Any] = (found["jobTemplate"]["spec"] if service == "owner" else found)["template"]
    return template


def container(service: str) -> dict[str, Any]:
    (found,) = pod(service)["spec"]["containers"]
    return dict(found)


def values(service: str) -> dict[str, str]:
    """Return the variables with a value in the manifest."""
    return {one["name"]: one["value"] for one in container(service)["env"] if "value" in one}


def test_each_process_has_a_manifest() -> None:
    """There is no other manifest."""
    assert {path.stem for path in MANIFESTS.iterdir()} == {*PORTS, "migrate", "config", "network"}


@pytest.mark.parametrize("service", PORTS)
def test_probes_ask_for_the_pages_that_there_are(service: str) -> None:
    """Liveness depends on no other service: an outage kills no pod. Readiness and metrics are on the admin port."""
    found, ports = container(service), PORTS[service]
    probes = {name: found[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    admin = list(ports)[-1]

    assert {one["name"]: str(one["containerPort"]) for one in found["ports"]} == {
        name: values(service)[setting] for name, setting in ports.items()
    }
    assert probes == {
        "startupProbe": {"path": "/health", "port": "http"}, "livenessProbe": {"path": "/health", "port": "http"},
        "readinessProbe": {"path": "/ready", "port": admin},
    }  # fmt: skip
    assert pod(service)["metadata"]["annotations"]["prometheus.io/port"] == values(service)[ports[admin]]
    assert found["args"] == COMMANDS[service]


@pytest.mark.parametrize("service", SERVICES)
def test_its_variables_are_settings_and_its_own(service: str) -> None:
    """A misspelt name would be ignored silently; a secret of another service could be stolen."""
    found = container(service)
    secret = [one for one in found["env"] if "valueFrom" in one]

    assert unknown_variables({one["name"]: "" for one in found["env"]}) == []
    assert {one["name"] for one in secret} == ACCOUNTS | SECRETS[service]
    for one in secret:
        reference = one["valueFrom"]["secretKeyRef"]
        assert (reference["name"], reference["key"]) == (f"bridge-{service}", one["name"])
    assert found["envFrom"] == [{"configMapRef": {"name": "bridge"}}]


@pytest.mark.parametrize("service", PROCESSES)
def test_production_takes_what_the_manifests_give(service: Service) -> None:
    """With all required secrets filled in, production refuses nothing."""
    (config,) = documents("config")
    secrets = {
        "BRIDGE_DATABASE_URL": f"postgresql://bridge_{service}:r9f2bq81xk@db/ghostlink?sslmode=verify-full",
        "BRIDGE_KAFKA_SASL_USERNAME": f"bridge-{service}",
        "BRIDGE_KAFKA_SASL_PASSWORD": "w3k8zt05mh",
        "BRIDGE_SECRET_KEY": "93f1c07be2a85d4610fc7b3e9d2a8645",
        "BRIDGE_GATEWAY_PROOF_KEY": "5b8e02d94f7a61c3ae2197f06d3b84c5",
    }
    named = {one["name"] for one in container(service)["env"] if "valueFrom" in one}
    given = config["data"] | values(service) | {name: value for name, value in secrets.items() if name in named}
    settings = Settings(**{name.lower().removeprefix("bridge_"): value for name, value in given.items()})

    assert refusals(settings, [], service) == []


@pytest.mark.parametrize("service", SERVICES)
def test_pods_are_restricted(service: str) -> None:
    """Pods have no token of the cluster, no root, no writable image, and no volume that can fill the node's disk."""
    spec = pod(service)["spec"]

    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container(service)["securityContext"] == {
        "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert container(service)["resources"].keys() == {"requests", "limits"}
    assert all(volume["emptyDir"]["sizeLimit"] for volume in spec["volumes"])


def test_nothing_is_reached_that_no_policy_names() -> None:
    """The default policy denies both directions for all pods; each opened port is a port of its pods."""
    default, *others = documents("network")
    (expression,) = default["spec"]["podSelector"]["matchExpressions"]
    apps = {pod(service)["metadata"]["labels"]["app"] for service in SERVICES}

    assert (set(expression["values"]), expression["key"], expression["operator"]) == (apps, "app", "In")
    assert default["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & default["spec"].keys()
    opened = {}
    for policy in others:
        for rule in policy["spec"].get("ingress", ()):
            assert rule["from"], "opened to everybody"
            app = policy["spec"]["podSelector"]["matchLabels"]["app"]
            for port in rule["ports"]:
                opened[app.removeprefix("bridge-"), port["port"]] = rule["from"][0]["namespaceSelector"]["matchLabels"][
                    "kubernetes.io/metadata.name"
                ]
    assert opened == {
        ("gateway", "http"): "ingress", ("gateway", "admin"): "monitoring", ("api", "http"): "operators",
        ("api", "admin"): "monitoring", ("worker", "http"): "monitoring",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["gateway", "api"])
def test_the_service_finds_its_pods(kind: str) -> None:
    """The service selects its pods by their label, at the public port only."""
    deployment, service = documents(kind)

    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] == "http"


def targets(service: str) -> list[dict[str, str]]:
    """The targets that Prometheus discovers for a service's pods, one for each port, before relabelling."""
    template = pod(service)
    found = {"__meta_kubernetes_pod_name": f"{service}-1", "__meta_kubernetes_pod_phase": "Running"}
    for kind in ("label", "annotation"):
        for name, value in template["metadata"].get(f"{kind}s", {}).items():
            found[f"__meta_kubernetes_pod_{kind}_{re.sub('[^a-zA-Z0-9_]', '_', name)}"] = value
    ports = [port["containerPort"] for port in container(service).get("ports", [])]
    return [found | {"__meta_kubernetes_pod_container_port_number": str(port)} for port in ports]


def relabelled(labels: dict[str, str], rules: list[dict[str, Any]]) -> dict[str, str] | None:
    """Apply the relabelling rules as Prometheus does; None if the target is dropped."""
    for rule in rules:
        value = ";".join(labels.get(name, "") for name in rule["source_labels"])
        matches = re.fullmatch(rule.get("regex", "(.*)"), value) is not None
        match rule.get("action", "replace"):
            case "keep" if not matches:
                return None
            case "drop" if matches:
                return None
            case "keepequal" if value != labels.get(rule["target_label"], ""):
                return None
            case "replace":
                labels = labels | {rule["target_label"]: value}
    return labels


def test_prometheus_finds_pods_under_the_jobs_of_the_rules() -> None:
    """There is one target for each process, at the port with its metrics, with the job's name that the rules use."""
    (job,) = YAML(typ="safe", pure=True).load(PROMETHEUS / "kubernetes.yml")["scrape_configs"]
    assert [one["namespaces"] for one in job["kubernetes_sd_configs"]] == [{"names": ["bridge"]}]
    figures = {"worker": "http", "gateway": "admin", "api": "admin"}
    jobs = set(re.findall(r'job="([^"]+)"', (PROMETHEUS / "bridge.rules.yml").read_text()))
    found = {}
    for service in PORTS:
        (labels,) = filter(None, (relabelled(one, job["relabel_configs"]) for one in targets(service)))
        found[labels["job"]] = int(labels["__meta_kubernetes_pod_container_port_number"])
        (port,) = (one for one in container(service)["ports"] if one["name"] == figures[service])
        assert found[labels["job"]] == port["containerPort"]
        ended = [one | {"__meta_kubernetes_pod_phase": "Succeeded"} for one in targets(service)]
        assert not any(relabelled(one, job["relabel_configs"]) for one in ended)
    assert set(found) == jobs
    assert not any(relabelled(one, job["relabel_configs"]) for one in targets("owner"))
