"""Unknown variables: a misspelt setting gets the closest name, and other programs' variables are ignored."""

import pytest

from schemas.config.environment import environment_names, unknown_variables
from schemas.config.settings import Settings


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("BRIDGE_TOPIC_REPLICATON", "did you mean BRIDGE_TOPIC_REPLICATION?"),
        ("BRIDGE_RETRY_DELAY", "did you mean BRIDGE_RETRY_DELAYS?"),
        ("bridge_lane", "did you mean BRIDGE_LANES?"),
        ("BRIDGE_ZZZZZZZZZZZZZZZZ", "see docs/settings.md"),
        ("BRIDGE_PORT", "is not a setting"),
    ],
)
def test_a_typing_error_is_named(name: str, closest: str) -> None:
    """The one-line error omits the value, which may be a secret."""
    (line,) = unknown_variables({name: "hidden"})
    assert line.startswith(f"{name} is not a setting")
    assert closest in line
    assert "hidden" not in line


def test_every_setting_is_known_in_either_case() -> None:
    """All of its names are accepted."""
    names = [one for name, field in Settings.model_fields.items() for one in environment_names(name, field)]
    assert unknown_variables(dict.fromkeys([*names, *map(str.lower, names)], "x")) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PATH", "/bin"),
        ("BRIDGET_NAME", "jones"),
        ("GHOSTLINK_OTHER", "x"),
        ("BRIDGE_TEST_KAFKA", "h:1"),
        ("BRIDGE_GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("BRIDGE_GATEWAY_SERVICE_PORT_HTTP", "80"),
        ("BRIDGE_SERVICE_PORT", "80"),
        ("BRIDGE_GATEWAY_PORT", "tcp://10.0.0.1:80"),
        ("BRIDGE_PORT", "tcp://10.0.0.1:80"),
        ("BRIDGE_GATEWAY_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("BRIDGE_GATEWAY_PORT_80_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_other_peoples_variables(name: str, value: str) -> None:
    """Kubernetes sets variables for each service in every container; none may stop a pod."""
    assert unknown_variables({name: value}) == []
