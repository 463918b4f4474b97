"""Sessions with Postgres: all are opened in one place, which bounds waits for locks, and no code removes the bound."""

import re
from pathlib import Path

from sinks.postgres.statements import statement_files

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCES = {
    path.relative_to(CHECKOUT).as_posix(): path.read_text()
    for package in ("schemas", "telemetry", "sinks", "streams", "bridge")
    for path in (CHECKOUT / package).rglob("*.py")
}
OPENS = {
    "sinks/postgres/connection.py": "all of the product's own",
    "sinks/postgres/server_proof.py": "how it is done",
    "bridge/dev/stack/databases.py": "the development server's, before it has a database",
}
BOUNDS = {
    "sinks/postgres/connection.py": "the bound of all",
    "sinks/postgres/sink.py": "a lane's own, shorter",
    "sinks/postgres/table_locks.py": "one transaction's",
    "sinks/postgres/schema/monthly_partitions.py": "one transaction's",
    "sinks/postgres/schema/migrate.py": "one transaction's",
}
OPENING = re.compile(r"\b(?:asyncpg|server_proof)\.(?:connect|create_pool)\(")
BOUNDING = re.compile(r"(?:SET (?:LOCAL |SESSION )?|set_config\(')lock_timeout")


def test_sessions_are_opened_in_one_place() -> None:
    """A session opened elsewhere could wait for a lock without a limit."""
    assert {path for path, text in SOURCES.items() if OPENING.search(text)} == OPENS.keys()


def test_no_session_takes_its_bound_away() -> None:
    """BOUNDS names each module that sets another lock_timeout."""
    assert {path for path, text in SOURCES.items() if BOUNDING.search(text)} == BOUNDS.keys()
    for text in (*SOURCES.values(), *(path.read_text() for path in statement_files().values())):
        assert not re.search(r"RESET (?:ALL|lock_timeout)|DISCARD ALL|lock_timeout (?:=|TO) '?0", text)
