"""Flink SQL with keyed deduplication and the JDBC sink, client and cluster in one process; the first copy wins."""

import uuid
from pathlib import Path

from bench.peers.jvm import java, jdbc_url, user
from bench.peers.place import Place
from bridge.dev.stack.jars import Jars

VERSION = "2.3.0"
JARS = Jars(
    program="Flink",
    version=VERSION,
    coordinates=(
        f"org.apache.flink:flink-sql-gateway:{VERSION}",
        f"org.apache.flink:flink-table-planner-loader:{VERSION}",
        f"org.apache.flink:flink-table-runtime:{VERSION}",
        f"org.apache.flink:flink-connector-base:{VERSION}",
        f"org.apache.flink:flink-json:{VERSION}",
        "org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2",
        "org.apache.flink:flink-connector-jdbc-postgres:4.0.0-2.0",
        "org.postgresql:postgresql:42.7.14",
        "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
    ),
    lock=Path(__file__).with_name("flink.lock"),
)

_SQL = Path(__file__).with_name("flink.sql")
_FLINK_OPENS = ("lang", "lang.reflect", "io", "net", "nio", "text", "time", "util", "util.concurrent",
                "util.concurrent.atomic", "util.concurrent.locks")  # fmt: skip


def command(place: Place) -> list[str]:
    """Return `flink run` of Flink's own driver for a SQL script, on a cluster within the process."""
    settings = place.directory / "conf"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "config.yaml").write_text("{}\n", encoding="utf-8")
    script = place.directory / "flink.sql"
    sql = _SQL.read_text(encoding="utf-8").format(
        checkpoints=(place.directory / "checkpoints").as_uri(),
        kafka=place.kafka,
        topic=place.topic,
        group=f"peer-{uuid.uuid4().hex}",
        password=place.password,
        jdbc_url=jdbc_url(place),
        user=user(place),
    )
    script.write_text(sql, encoding="utf-8")
    opens = (f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in _FLINK_OPENS)
    words = java(place, JARS, *opens)
    driver = "org.apache.flink.table.runtime.application.SqlDriver"
    holder = JARS.directory / f"flink-table-runtime-{VERSION}.jar"
    # Flink reads the path of its configuration only from the environment; `env` is replaced by the process that it
    # starts.
    return ["/usr/bin/env", f"FLINK_CONF_DIR={settings}", *words, "org.apache.flink.client.cli.CliFrontend", "run",
            "--target", "local", "--class", driver, str(holder), "--scriptUri", script.as_uri()]  # fmt: skip
