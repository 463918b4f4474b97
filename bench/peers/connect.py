"""Kafka Connect, standalone, with Debezium's JDBC sink: upsert by key, so the last copy of an event wins."""

import json
import uuid
from pathlib import Path

from bench.peers.jvm import java, jdbc_url, user
from bench.peers.place import Place
from bridge.dev.stack.jars import KAFKA_VERSION, Jars

JARS = Jars(
    program="Kafka Connect",
    version=KAFKA_VERSION,
    coordinates=(
        f"org.apache.kafka:connect-runtime:{KAFKA_VERSION}",
        "org.postgresql:postgresql:42.7.14",
        "io.debezium:debezium-connector-jdbc:3.5.0.Final",
        "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
    ),
    lock=Path(__file__).with_name("connect.lock"),
)

Kind = dict[str, object]
_TEXT: Kind = {"type": "string"}
_TIMESTAMP: Kind = {"type": "string", "name": "io.debezium.time.ZonedTimestamp"}
_REQUIRED: dict[str, Kind] = {
    "site_id": {"type": "int64"},
    "event_id": _TEXT,
    "event_type": _TEXT,
    "occurred_at": _TIMESTAMP,
}
# Without `properties` and `value`, which saves this peer some work. An amount that is text in JSON is read as base64, and
# then the event is refused. An object of mixed values can't be written to a jsonb column.
# The converter turns an object that the schema declares as a string into null. The sink fails on a struct, and takes a
# map for an hstore. The transformations that write one field as JSON text are not available from the jars' repository.
_OPTIONAL: dict[str, Kind] = {
    "script_id": _TEXT,
    "sent_at": _TIMESTAMP,
    "session_id": _TEXT,
    "visitor_id": _TEXT,
    "url": _TEXT,
    "referrer": _TEXT,
    "user_agent": _TEXT,
    "currency": _TEXT,
}


def command(place: Place) -> list[str]:
    """Return the worker with its one connector; writes the properties of both.

    Its REST interface uses any free port.
    """
    name = f"peer-{uuid.uuid4().hex}"
    worker = {
        "bootstrap.servers": place.kafka,
        "listeners": "http://127.0.0.1:0",
        "plugin.discovery": "service_load",
        "offset.storage.file.filename": place.directory / "offsets",
        "offset.flush.interval.ms": 5000,
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schema.content": json.dumps(_schema()),
    }
    sink = {
        "name": name,
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": 4,
        "topics": place.topic,
        "connection.url": jdbc_url(place),
        "connection.username": user(place),
        "connection.password": place.password,
        "collection.name.format": "peer_event",
        "schema.evolution": "none",
        "insert.mode": "upsert",
        "primary.key.mode": "record_value",
        "primary.key.fields": "site_id,event_id",
        "batch.size": 3000,
        "consumer.override.max.poll.records": 3000,
        "consumer.override.auto.offset.reset": "earliest",
        # One statement per batch, with one array per column; such a statement can't write a row twice.
        "dialect.postgres.unnest.insert.enabled": "true",
        "use.reduction.buffer": "true",
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": f"{name}-dead-letters",
        "errors.deadletterqueue.topic.replication.factor": 1,
    }
    words = java(place, JARS)
    files = {"worker.properties": worker, "sink.properties": sink}
    for file, properties in files.items():
        lines = [f"{key}={value}\n" for key, value in properties.items()]
        (place.directory / file).write_text("".join(lines), encoding="utf-8")
    return [*words, "org.apache.kafka.connect.cli.ConnectStandalone", *(str(place.directory / file) for file in files)]


def _schema() -> Kind:
    required = [{"field": name, "optional": False} | kind for name, kind in _REQUIRED.items()]
    optional = [{"field": name, "optional": True} | kind for name, kind in _OPTIONAL.items()]
    return {"type": "struct", "fields": required + optional}
