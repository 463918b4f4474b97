"""A service that is away ends each command with exit code 3 and one line with its address and setting."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from support.events.settled import environment_of, prepare, settings_for
from support.processes.command import bridge_text

from bridge.cli.app import app
from bridge.dev.stack import StackAddresses

CLOSED = "127.0.0.1:1"
PASSWORD = "not-to-be-told-4711"  # a password that no account has
DATABASE = {"BRIDGE_DATABASE_URL": f"postgresql://nobody:{PASSWORD}@{CLOSED}/none"}
KAFKA = {"BRIDGE_KAFKA_BOOTSTRAP_SERVERS": CLOSED}

POSTGRES_ALONE = (
    "script add s1 --site-id 1", "script list", "script history", "script history s1", "script disable s1", "script enable s1",
    "script token create s1", "script token list s1", "script token revoke s1 1234",
    "db migrate", "db status", "db check", "db grants bridge_x --service worker", "db snapshot",
    "gate show", "gate check", "kpi", "breaker status", "identity show", "pause list",
    "dlq groups", "dlq groups --cause 12ab", "dlq list", "dlq show bridge.raw:0:1", "dlq export", "dlq status 12345678", "dlq plans",
    "dlq replay 12345678", "dlq cancel 12345678 --reason x",
    "backup create", "backup verify", "backup prune", "backup attest x --stored-at y",
    "archive create last", "archive verify last", "archive restore last",
    "api token create x --role viewer", "api token list", "api token revoke x", "retention list", "runs list", "runs show 12345678",
)  # fmt: skip
BOTH = (
    "worker", "gateway", "api serve", "process", "audit", "top", "offsets show", "offsets skip bridge.raw:0 --offset 1 --reason x",
    "breaker release --reason x", "breaker engage --reason x", "identity backfill", "identity require-proof --reason x",
    "pause start --site 1 --reason x", "pause end --site 1 --reason x", "dlq discard --all --yes --reason x",
    "retention plan", "retention apply 12345678", "retention run", "dlq plan --all --yes", "dlq replay --from-topic x", "topics adopt bridge.raw:0 --reason x",
)  # fmt: skip
KAFKA_ALONE = ("produce pyproject.toml", "topics apply", "topics check")
NEITHER = frozenset(
    {
        # These start servers of their own.
        "up", "demo", "stack up", "stack down", "stack status",
        # A service that is away is one of its findings, with exit code 1.
        "doctor",
        # It only queries a gateway: see test_gateway_refused.py.
        "refused",
        # It shows what the store has, and warns if the database is away. A restore needs another database, from a store with backups.
        "backup list", "restore", "archive list",
        "db verifier", "schema export", "schema docs", "keys show", "deploy rules", "deploy limits",
    }
)  # fmt: skip


def _commands(group: Any, *names: str) -> Iterator[str]:
    if not hasattr(group, "list_commands"):
        yield " ".join(names)
        return
    context = typer.Context(group)
    for name in group.list_commands(context):
        yield from _commands(group.get_command(context, name), *names, name)


def test_each_command_is_known_here() -> None:
    """Every command is listed under the services that it uses."""
    known = {
        name
        for name in _commands(typer.main.get_command(app))
        for given in (*POSTGRES_ALONE, *BOTH, *KAFKA_ALONE)
        if f"{given} ".startswith(f"{name} ")
    }

    assert set(_commands(typer.main.get_command(app))) - NEITHER == known


async def _told(command: str, settings: dict[str, str], setting: str) -> None:
    """Run the command and check its exit code and its error line."""
    done = await bridge_text(
        *command.split(),
        settings={
            "BRIDGE_START_TIMEOUT": "100ms",
            "BRIDGE_API_PORT": "0",
            "BRIDGE_GATEWAY_PORT": "0",
            "BRIDGE_STORE_URL": "file:///none/of/these",
        }
        | settings,
    )

    said = done.stdout + done.stderr
    assert done.returncode == 3, said
    assert "Traceback" not in said
    assert PASSWORD not in said
    # A run's error line begins with "failed: ", any other with "error: ".
    (line,) = (one for one in said.splitlines() if one.startswith(("error: ", "failed: ")))
    assert f" at {CLOSED}" in line
    assert setting in line


@pytest.mark.parametrize("command", [*POSTGRES_ALONE, *BOTH])
async def test_postgres_away_is_exit_code_3(stack: StackAddresses, command: str) -> None:
    """Exit code 1 would be a verdict of `breaker status`, `gate check` and `audit`."""
    await _told(command, DATABASE | {"BRIDGE_KAFKA_BOOTSTRAP_SERVERS": stack.kafka}, "BRIDGE_DATABASE_URL")


@pytest.mark.parametrize("command", [*KAFKA_ALONE, *BOTH])
async def test_kafka_away_is_exit_code_3(
    stack: StackAddresses, database_url: str, topic_prefix: str, command: str
) -> None:
    """Each command ends so when Kafka is away, also after Postgres has answered."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)

    await _told(command, environment_of(settings) | KAFKA, "BRIDGE_KAFKA_BOOTSTRAP_SERVERS")


@pytest.mark.parametrize(
    "command", ["script list", "breaker status", "gate check", "dlq groups", "runs list", "top", "audit"]
)
async def test_a_database_that_was_never_migrated_names_what_makes_the_tables(
    stack: StackAddresses, empty_database: str, command: str
) -> None:
    """A missing schema exits with 3 and names `bridge db migrate`."""
    given = {"BRIDGE_DATABASE_URL": empty_database, "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": stack.kafka}
    done = await bridge_text(*command.split(), settings=given)

    (line,) = done.stderr.splitlines()
    assert done.returncode == 3
    assert line.startswith("error: Postgres refuses a needed operation")
    assert "; run `bridge db migrate`; " in line
