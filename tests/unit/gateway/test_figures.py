"""What a gateway shows before anybody has asked it for anything."""

from prometheus_client import generate_latest
from pydantic import SecretStr
from support.settled import SECRET, settings_for

from bridge.gateway.app import create_app
from bridge.http.problems import REFUSALS
from sinks import metrics


def test_every_status_that_an_alert_counts_has_its_series_from_the_beginning() -> None:
    """`increase` does not see the first count of a series that begins with it: sixty wrong keys at once would not be told."""
    create_app(settings_for("127.0.0.1:1", "postgresql://nobody@127.0.0.1:1/none", "t.", secret_key=SecretStr(SECRET)))

    page = generate_latest(metrics.REGISTRY).decode()
    for route in ("events", "validate", "token", "snippet", "other"):
        for status in {202, *(refusal.status.value for refusal in REFUSALS.values())}:
            assert f'bridge_gateway_requests_total{{route="{route}",status="{status}"}}' in page
