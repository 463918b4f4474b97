"""Settings: defaults, formats, and errors that name the variable."""

from typing import Any

import pytest

from schemas.config.duration import Duration
from schemas.config.settings import load_settings
from schemas.errors import InvalidInput
from schemas.reasons import ErrorClass


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("BRIDGE_", "GHOSTLINK_")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("15s", 15), ("5m", 300), ("1h", 3600), (" 1s ", 1)])
def test_durations(text: str, seconds: float) -> None:
    """Units from milliseconds to hours are converted to seconds."""
    assert Duration(text).seconds == seconds


@pytest.mark.parametrize("text", ["", "15", "s", "1.5s", "-1s", "1d", "1s1s", "9" * 10 + "s"])
def test_what_is_no_duration(text: str) -> None:
    """The error gives the accepted format."""
    with pytest.raises(ValueError, match="15s, 5m or 1h"):
        Duration(text)


def test_defaults() -> None:
    """The defaults are those of the design."""
    settings = load_settings()
    assert settings.retry_delays == ("15s", "30s", "60s")
    assert (settings.max_retries, settings.worker_max_dropped_total, settings.worker_max_retry_ratio_pct) == (3, 50, 20)
    assert settings.topics.retries == ("bridge.retry.15s", "bridge.retry.30s", "bridge.retry.60s")
    assert (settings.occurred_at_max_age.seconds, settings.occurred_at_max_ahead.seconds) == (7 * 86400, 3600)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("BRIDGE_RETRY_DELAYS", "15s,15s", "BRIDGE_RETRY_DELAYS: each delay names a topic"),
        ("BRIDGE_RETRY_DELAYS", "soon", "BRIDGE_RETRY_DELAYS: 'soon' is not a duration such as"),
        ("BRIDGE_MAX_RETRIES", "-1", "BRIDGE_MAX_RETRIES: "),
        ("BRIDGE_LANES", "many", "BRIDGE_LANES: "),
        ("BRIDGE_ENV", "prod", "BRIDGE_ENV: "),
        ("BRIDGE_TOPIC_PREFIX", "a b", "BRIDGE_TOPIC_PREFIX: "),
        ("BRIDGE_REVOKE_BUDGET", "8", "BRIDGE_REVOKE_BUDGET: '8' is not a duration"),
        ("BRIDGE_DATABASE_URL", "mysql://x", "BRIDGE_DATABASE_URL: must begin with postgresql://"),
        ("BRIDGE_RETRY_TIERS_BY_CLASS", '{"unknown_script": ["5m"]}', "may only name tiers of retry_delays"),
        ("BRIDGE_RETRY_TIERS_BY_CLASS", '{"no_such_class": ["15s"]}', "BRIDGE_RETRY_TIERS_BY_CLASS"),
        ("BRIDGE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL", "kafka_sasl_username and kafka_sasl_password"),
    ],
)
def test_an_error_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    """One line gives the wrong setting and the accepted values."""
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_all_errors_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One start reports every wrong setting."""
    monkeypatch.setenv("BRIDGE_LANES", "0")
    monkeypatch.setenv("BRIDGE_MAX_RETRIES", "x")
    with pytest.raises(InvalidInput, match=r"BRIDGE_MAX_RETRIES: .*; BRIDGE_LANES: "):
        load_settings()


@pytest.mark.parametrize("name", ["BRIDGE_DATABASE_URL", "GHOSTLINK_DATABASE_URL"])
@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+asyncpg"])
def test_the_database_url_in_all_its_forms(monkeypatch: pytest.MonkeyPatch, name: str, scheme: str) -> None:
    """Both names and both schemes are accepted; asyncpg gets the plain one."""
    monkeypatch.setenv(name, f"{scheme}://u:hidden@h/d")
    settings = load_settings()
    assert settings.dsn == "postgresql://u:hidden@h/d"
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "variable"), [("dsn", "BRIDGE_DATABASE_URL"), ("brokers", "BRIDGE_KAFKA_BOOTSTRAP_SERVERS")]
)
def test_what_is_needed_and_not_set_is_named(name: str, variable: str) -> None:
    """The error comes on first use."""
    with pytest.raises(InvalidInput, match=f"{variable} is not set"):
        getattr(load_settings(), name)


def test_tiers_by_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """The value is JSON by error class, with declared tiers only."""
    monkeypatch.setenv("BRIDGE_RETRY_TIERS_BY_CLASS", '{"unknown_script": ["30s"]}')
    assert load_settings().retry_tiers_by_class == {ErrorClass.UNKNOWN_SCRIPT: ("30s",)}


def test_client_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """SASL and TLS reach the client only where they are set."""
    plain: dict[str, Any] = load_settings(kafka_bootstrap_servers="h:1").kafka_client()
    assert plain == {"bootstrap_servers": "h:1", "security_protocol": "PLAINTEXT"}
    secured = load_settings(
        kafka_bootstrap_servers="h:1",
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_username="u",
        kafka_sasl_password="p",
    ).kafka_client()
    assert (secured["sasl_plain_username"], secured["sasl_plain_password"]) == ("u", "p")
    assert secured["ssl_context"] is not None
