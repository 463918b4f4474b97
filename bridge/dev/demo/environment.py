"""Settings for an embedded stack, for this process and for the workers that it starts."""

import os
from pathlib import Path

import bridge
from bridge.dev.stack import StackAddresses
from schemas.config.settings import Settings, load_settings


def own_settings(addresses: StackAddresses, **changes: object) -> Settings:
    """Return the settings from the environment, but with the Kafka and Postgres of an embedded stack (`addresses`).

    Raises InvalidInput if another setting is not valid.
    """
    own: dict[str, object] = {
        "env": "development",
        "kafka_bootstrap_servers": addresses.kafka,
        "kafka_security_protocol": "PLAINTEXT",
        "database_url": addresses.database_url,
        "topic_replication": 1,
        "topic_min_insync": 1,
    }
    return load_settings(**(own | changes))


def worker_environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables of a worker that has these settings and runs the same code as this process."""
    own = {
        "BRIDGE_ENV": settings.env,
        "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": settings.brokers,
        "BRIDGE_KAFKA_SECURITY_PROTOCOL": settings.kafka_security_protocol,
        "BRIDGE_DATABASE_URL": settings.dsn,
        "BRIDGE_TOPIC_REPLICATION": str(settings.topic_replication),
        "BRIDGE_TOPIC_MIN_INSYNC": str(settings.topic_min_insync),
        "BRIDGE_RETRY_DELAYS": ",".join(settings.retry_delays),
        "BRIDGE_MAX_RETRIES": str(settings.max_retries),
        "BRIDGE_METRICS_PORT": str(settings.metrics_port),
        "BRIDGE_GATEWAY_VISITOR_REFUSED_PER_MINUTE": str(settings.gateway_visitor_refused_per_minute),
    }
    here = str(Path(bridge.__file__).resolve().parent.parent)
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, **own, "PYTHONPATH": os.pathsep.join(paths)}
