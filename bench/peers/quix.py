"""Quix Streams with its own PostgreSQL sink; the primary key rejects duplicates: SERVERS DSN TOPIC."""

import logging
import os
import sys
import time
from urllib.parse import urlsplit

from quixstreams import Application
from quixstreams.sinks.community.postgresql import PostgreSQLSink

from bench.peers import contract

BATCH = 5000


def event(value: bytes) -> dict[str, object] | None:
    """Return the event's columns by name; None if it violates the contract."""
    row = contract.row(value)
    return None if row is None else dict(zip(contract.COLUMNS, row, strict=True))


def main(servers: str, dsn: str, topic: str) -> None:
    """Run until it is ended."""
    url = urlsplit(dsn)
    app = Application(
        broker_address=servers,
        consumer_group=f"peer-quix-{time.time_ns()}",
        auto_offset_reset="earliest",
        commit_every=BATCH,
        loglevel=logging.WARNING,
    )
    sink = PostgreSQLSink(
        host=url.hostname,
        port=url.port,
        dbname=url.path[1:],
        user=url.username,
        password=os.environ["PGPASSWORD"],
        table_name="peer_event",
        schema_auto_update=False,
        include_metadata=False,
        on_conflict_do_nothing=True,
    )
    raw = app.topic(topic, key_deserializer="bytes", value_deserializer="bytes")
    frame = app.dataframe(raw).apply(event).filter(lambda found: found is not None)
    frame.sink(sink)
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:4])
