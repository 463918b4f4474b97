"""The guards of production: each refusal alone, all of them together, and the named exceptions."""

from base64 import b32encode, b64encode, urlsafe_b64encode
from hashlib import sha256
from itertools import combinations
from random import Random
from string import ascii_letters
from typing import Any, get_args
from urllib.parse import quote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config.derived_keys import proof_key, webhook_secret
from schemas.config.production import GUARDS, is_random, refusals
from schemas.config.service import Service
from schemas.config.settings import Allowance, Settings

FIT: dict[str, Any] = {
    "env": "production",
    "kafka_bootstrap_servers": "kafka-1:9093,kafka-2:9093",
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_username": "bridge",
    "kafka_sasl_password": "w3k8zt05mh",
    "database_url": "postgresql://bridge:r9f2bq81xk@db.internal:5432/ghostlink?sslmode=verify-full",
    "secret_key": "93f1c07be2a85d4610fc7b3e9d2a8645",
    "topic_replication": 3,
    "topic_min_insync": 2,
}

PROOF = "5b8e02d94f7a61c3ae2197f06d3b84c5"

# The change and the start of its one refusal; None where the change is allowed.
CHANGES: list[tuple[dict[str, Any], str | None]] = [
    ({"database_url": ""}, "BRIDGE_DATABASE_URL is not set"),
    ({"kafka_bootstrap_servers": ""}, "BRIDGE_KAFKA_BOOTSTRAP_SERVERS is not set"),
    ({"database_url": "postgresql://u:p9f2r7k2@db/?sslmode=require"}, "BRIDGE_DATABASE_URL names no database"),
    ({"database_url": "postgresql://db/d?sslmode=require"}, "BRIDGE_DATABASE_URL names no user"),
    (
        {"database_url": "postgresql://u:p9f2r7k2@127.0.0.1/d?sslmode=require"},
        "BRIDGE_DATABASE_URL leads to this machine",
    ),
    (
        {"database_url": "postgresql://u:p9f2r7k2@db,[::1]:1/d?sslmode=require"},
        "BRIDGE_DATABASE_URL leads to this machine",
    ),
    ({"database_url": "postgresql://u:p9f2r7k2@/d?sslmode=require"}, "BRIDGE_DATABASE_URL leads to this machine"),
    (
        {"database_url": "postgresql://u:p9f2r7k2@db/d?host=127.0.0.1&sslmode=require"},
        "BRIDGE_DATABASE_URL names hosts twice",
    ),
    ({"database_url": "postgresql://u@/d?host=/run/pg&sslmode=require"}, "BRIDGE_DATABASE_URL leads to this machine"),
    ({"kafka_bootstrap_servers": "kafka-1:9093,localhost:9093"}, "BRIDGE_KAFKA_BOOTSTRAP_SERVERS leads to this"),
    ({"worker_alert_webhook": "https://0.0.0.0/hook"}, "BRIDGE_WORKER_ALERT_WEBHOOK leads to this machine"),
    ({"worker_alert_webhook": "ftp://alerts/hook"}, "BRIDGE_WORKER_ALERT_WEBHOOK must be a URL"),
    ({"worker_alert_webhook": "https://alerts.internal/hook"}, None),
    ({"database_url": "postgresql://u:change_me_in_env@db/d?sslmode=require"}, "BRIDGE_DATABASE_URL has a default"),
    ({"database_url": "postgresql://app:app@db/d?sslmode=require"}, "BRIDGE_DATABASE_URL has a default password"),
    ({"database_url": "postgresql://u:Postgres@db/d?sslmode=require"}, "BRIDGE_DATABASE_URL has a default password"),
    ({"database_url": "postgresql://u@db/d?sslmode=verify-ca"}, None),
    ({"kafka_sasl_password": "bridge"}, "BRIDGE_KAFKA_SASL_PASSWORD is a default"),
    ({"worker_alert_webhook_secret": "changeme"}, "BRIDGE_WORKER_ALERT_WEBHOOK_SECRET is a default"),
    *(
        ({"worker_alert_webhook_secret": secret}, f"BRIDGE_WORKER_ALERT_WEBHOOK_SECRET {says}")
        for secret, says in (
            ("whsec_", "is a key of 0 bytes"),
            ("", "is a key of 0 bytes"),
            ("short", "is a key of 5 bytes"),
            (f"whsec_{b64encode(sha256(b'a').digest()[:23]).decode()}", "is a key of 23 bytes"),
            (f"whsec_{b64encode(b'ab' * 20).decode()}", "is not random"),
            ("whsec_n t base64", "has no base64"),
            (FIT["secret_key"], "is BRIDGE_SECRET_KEY"),
            (f"whsec_{b64encode(FIT['secret_key'].encode()).decode()}", "is BRIDGE_SECRET_KEY"),
        )
    ),
    ({"worker_alert_webhook_secret": f"whsec_{b64encode(sha256(b'b').digest()[:24]).decode()}"}, None),
    ({"worker_alert_webhook": "http://alerts.internal/hook"}, "BRIDGE_WORKER_ALERT_WEBHOOK begins with http://"),
    ({"worker_alert_webhook": "HTTP://alerts.internal/hook"}, "BRIDGE_WORKER_ALERT_WEBHOOK begins with http://"),
    ({"sentry_dsn": "http://key@errors.internal/1"}, "BRIDGE_SENTRY_DSN begins with http://"),
    ({"kafka_sasl_password": "q7x2"}, "BRIDGE_KAFKA_SASL_PASSWORD is a password of 4 characters"),
    ({"database_url": "postgresql://u:q7x2@db/d?sslmode=require"}, "BRIDGE_DATABASE_URL has a password of 4"),
    ({"secret_key": None}, "BRIDGE_SECRET_KEY is not set"),
    ({"secret_key": ""}, "BRIDGE_SECRET_KEY is not set"),
    ({"secret_key": FIT["secret_key"][:31]}, "BRIDGE_SECRET_KEY has 31 characters"),
    ({"secret_key": "a" * 64}, "BRIDGE_SECRET_KEY is not random"),
    ({"secret_key": "abcdefgh" * 4}, "BRIDGE_SECRET_KEY is not random"),
    ({"secret_key": "0123456789abcdef0123456789abcdef"}, "BRIDGE_SECRET_KEY is not random"),
    ({"secret_key": "abcdefghijklmnopqrstuvwxyz0123456789"}, "BRIDGE_SECRET_KEY is not random"),
    ({"secret_key": "change_me_in_env_0123456789abcdef"}, "BRIDGE_SECRET_KEY is not random"),
    ({"gateway_proof_key": "short"}, "BRIDGE_GATEWAY_PROOF_KEY has 5 characters"),
    ({"gateway_proof_key": f"{PROOF},{'abcd' * 9}"}, "BRIDGE_GATEWAY_PROOF_KEY is not random"),
    ({"gateway_proof_key": FIT["secret_key"]}, "BRIDGE_GATEWAY_PROOF_KEY is BRIDGE_SECRET_KEY"),
    ({"gateway_proof_key": f"{PROOF}, {PROOF[::-1]}"}, None),
    ({"kafka_security_protocol": "PLAINTEXT"}, "BRIDGE_KAFKA_SECURITY_PROTOCOL is PLAINTEXT"),
    ({"kafka_security_protocol": "SASL_PLAINTEXT"}, "BRIDGE_KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT"),
    ({"kafka_security_protocol": "SSL"}, None),
    *(
        ({"database_url": f"postgresql://u:p9f2r7k2@db/d{mode}"}, "BRIDGE_DATABASE_URL may talk without TLS")
        for mode in ("", "?sslmode=disable", "?sslmode=allow", "?sslmode=prefer")
    ),
    ({"topic_replication": 2}, "BRIDGE_TOPIC_REPLICATION is 2"),
    ({"topic_min_insync": 1}, "BRIDGE_TOPIC_MIN_INSYNC is 1"),
    ({"log_level": "DEBUG"}, "BRIDGE_LOG_LEVEL is DEBUG"),
    ({"startup_without_postgres": True}, "BRIDGE_STARTUP_WITHOUT_POSTGRES is true"),
    ({"startup_without_kafka": True}, "BRIDGE_STARTUP_WITHOUT_KAFKA is true"),
]


def told(**changed: Any) -> list[str]:
    """The refusals of valid settings with these changes."""
    return refusals(Settings(**(FIT | changed)), unknown=[])


def test_fit_settings_are_not_refused() -> None:
    """The settings of docs/production.md are sufficient."""
    assert told() == []


@pytest.mark.parametrize(("changed", "says"), CHANGES, ids=lambda one: str(one)[:60])
def test_each_refusal(changed: dict[str, Any], says: str | None) -> None:
    """One line names the setting and the remedy, without a secret."""
    lines = told(**changed)
    assert [line[: len(says)] for line in lines] == [says] if says else lines == [], lines
    for line in lines:
        assert ": " in line
        assert not any(secret in line for secret in ("p9f2r7k2", "change_me", "r9f2bq81xk", "93f1c07b"))


@pytest.mark.parametrize(
    ("service", "missing"),
    [
        (Service.GATEWAY, "BRIDGE_SECRET_KEY is not set"),
        (Service.WORKER, "BRIDGE_GATEWAY_PROOF_KEY is not set"),
        (Service.API, "BRIDGE_GATEWAY_PROOF_KEY is not set"),
        (Service.OWNER, None),
    ],
)
def test_each_service_needs_its_own_keys_only(service: Service, missing: str | None) -> None:
    """Only the gateway needs the token secret, and no webhook is called without a signature."""
    hook = {"worker_alert_webhook": "https://alerts.internal/hook"}
    bare = Settings(**(FIT | {"secret_key": None}))
    assert [line[: len(missing or "")] for line in refusals(bare, [], service)] == ([missing] if missing else [])
    own = FIT | {"secret_key": None, "gateway_proof_key": PROOF}
    assert (refusals(Settings(**own), [], service) == []) is (service is not Service.GATEWAY)
    unsigned = refusals(Settings(**(own | hook)), [], service)
    assert unsigned[-1].startswith("BRIDGE_WORKER_ALERT_WEBHOOK_SECRET is not set")


def test_all_refusals_are_told_at_once() -> None:
    """One start reports every refusal, unknown variables included."""
    worst = Settings(env="production", database_url="postgresql://u:u@localhost/d", log_level="DEBUG")
    lines = refusals(worst, unknown=["BRIDGE_X is not a setting"])
    assert lines[0] == "BRIDGE_X is not a setting"
    assert len(lines) == 10, lines
    assert not any("\n" in line for line in lines)


def test_what_may_be_allowed_is_allowed_by_its_name_alone() -> None:
    """Each name disables its own guard, whose message gives the name."""
    local: dict[str, Any] = {
        "kafka_bootstrap_servers": "127.0.0.1:9092",
        "kafka_security_protocol": "PLAINTEXT",
        "database_url": "postgresql://u:p9f2r7k2@127.0.0.1/d",
        "worker_alert_webhook": "http://127.0.0.1/hook",
        "topic_replication": 1,
        "topic_min_insync": 1,
        "log_level": "DEBUG",
    }
    names = set(get_args(Allowance))
    assert {guard.allowed_by for guard in GUARDS} - {None} == names
    assert told(**local, production_allow=tuple(names)) == []
    for name in names:
        lines = told(**local, production_allow=tuple(names - {name}))
        assert lines
        assert all(line.endswith(f"BRIDGE_PRODUCTION_ALLOW={name}") for line in lines)
    assert len(told(secret_key=None, startup_without_kafka=True, production_allow=tuple(names))) == 2


@given(st.integers(0, 2**24 - 1), st.sampled_from(["database_url", "kafka_bootstrap_servers"]))
def test_no_loopback_address_passes(rest: int, name: str) -> None:
    """The whole of 127/8 is refused."""
    host = f"127.{rest >> 16}.{rest >> 8 & 255}.{rest & 255}"
    value = f"postgresql://u:p9f2r7k2@{host}/d?sslmode=require" if name == "database_url" else f"{host}:9092"
    assert [line.split(" ")[0] for line in told(**{name: value})] == [f"BRIDGE_{name.upper()}"]


SECRETS = ("secret_key", "gateway_proof_key", "worker_alert_webhook_secret", "kafka_sasl_password", "database_url")
SAME = sha256(b"same").hexdigest()
NOTATIONS = [SAME, f"whsec_{b64encode(SAME.encode()).decode()}", f"whsec_{b64encode(bytes.fromhex(SAME)).decode()}"]
NOTATIONS += [
    urlsafe_b64encode(bytes.fromhex(SAME)).decode().rstrip("="),
    b64encode(SAME.encode()).decode().rstrip("="),
]


@pytest.mark.parametrize(("one", "other"), list(combinations(SECRETS, 2)))
@pytest.mark.parametrize("notation", list(range(len(NOTATIONS))))
def test_no_two_purposes_have_one_secret(one: str, other: str, notation: int) -> None:
    """The notation does not matter; the holder of one would have the other."""

    def given(name: str, secret: str) -> dict[str, str]:
        if name == "database_url":
            return {name: FIT[name].replace("r9f2bq81xk", quote(secret, safe=""))}
        return {name: f"{PROOF}, {secret}" if name == "gateway_proof_key" else secret}

    (line,) = told(**given(one, SAME), **given(other, NOTATIONS[notation]))
    assert f"BRIDGE_{other.upper()} is " in line
    assert f"BRIDGE_{one.upper()}" in line
    assert SAME not in line


SHOWN = {"proof": proof_key(FIT["secret_key"]), "webhook": webhook_secret(FIT["secret_key"])}
"""The output of `bridge keys show`."""


@pytest.mark.parametrize(
    ("name", "shown", "says"),
    [
        ("gateway_proof_key", "proof", None),
        ("worker_alert_webhook_secret", "webhook", None),
        ("gateway_proof_key", "webhook", "BRIDGE_GATEWAY_PROOF_KEY is the webhook key of BRIDGE_SECRET_KEY: "),
        ("worker_alert_webhook_secret", "proof", "BRIDGE_WORKER_ALERT_WEBHOOK_SECRET is the gateway proof key of "),
        ("kafka_sasl_password", "proof", "BRIDGE_KAFKA_SASL_PASSWORD is the gateway proof key of BRIDGE_SECRET_KEY: "),
    ],
)
def test_a_derived_key_is_of_its_own_purpose(name: str, shown: str, says: str | None) -> None:
    """The names of the two printed keys differ in one word."""
    lines = told(**{name: SHOWN[shown]})
    assert [line[: len(says or "")] for line in lines] == ([says] if says else [])


@pytest.mark.parametrize("shown", SHOWN)
def test_both_keys_of_a_service_without_the_secret_are_not_one(shown: str) -> None:
    """A worker has no secret to derive them from."""
    both = {"gateway_proof_key": SHOWN[shown], "worker_alert_webhook_secret": SHOWN[shown], "secret_key": None}
    (line,) = refusals(Settings(**(FIT | both)), [], Service.WORKER)
    assert line.startswith("BRIDGE_WORKER_ALERT_WEBHOOK_SECRET is BRIDGE_GATEWAY_PROOF_KEY, so that")


@pytest.mark.parametrize(
    "typed",
    [
        "this-is-my-very-secret-key-123456",
        "correct horse battery staple password1234",
        "GhostlinkBridgeProduction2026!!!",
        "Webhook-of-the-alerts-2026-qwertz-yxcv",
    ],
)
def test_words_are_not_random(typed: str) -> None:
    """Secrets made of words are refused at any length."""
    assert told(secret_key=typed) == ["BRIDGE_SECRET_KEY is not random: make one, e.g. `openssl rand -hex 32`"]
    assert not is_random(typed.encode())


def test_random_keys_pass() -> None:
    """Keys made by the suggested commands are never refused."""
    draw = Random(14)
    for _ in range(20_000):
        drawn = draw.randbytes(32)
        assert is_random(drawn)
        assert is_random(drawn[:24])
        letters = "".join(draw.choices(ascii_letters, k=32))
        texts = (
            *(drawn.hex(), drawn.hex()[:32], drawn.hex().upper(), str(UUID(bytes=drawn[:16], version=4))),
            *(b64encode(drawn).decode(), urlsafe_b64encode(drawn).decode(), b32encode(drawn).decode()),
            *(letters, letters.lower()),
        )
        assert all(is_random(text.encode()) for text in texts)
