"""The tree of commands, their groups and their former names."""

from importlib.metadata import version
from typing import Annotated, Final

import typer

from bridge.cli.lazy import loading
from telemetry.terminal import result

_PLACES: Final = {
    "up": "dev.up:up",
    "demo": "dev.demo:demo",
    "worker": "services.worker:worker",
    "gateway": "services.gateway:gateway",
    "refused": "reports.refused:refused",
    "process": "stream.process:process",
    "produce": "stream.produce:produce",
    "audit": "reports.audit:audit",
    "doctor": "reports.doctor:doctor",
    "top": "reports.top:top",
    "kpi": "reports.gate:kpi",
    "stack": "dev.stack:stack_app",
    "script": "scripts.script:script_app",
    "topics": "stream.topics:topics_app",
    "offsets": "stream.offsets:offsets_app",
    "db": "setup.db:db_app",
    "gate": "reports.gate:gate_app",
    "breaker": "stream.breaker:breaker_app",
    "backup": "backups.backup:backup_app",
    "restore": "backups.restore:restore",
    "archive": "backups.archive:archive_app",
    "identity": "setup.identity:identity_app",
    "pause": "stream.pause:pause_app",
    "dlq": "dlq:dlq_app",
    "api": "services.api:api_app",
    "runs": "reports.runs:runs_app",
    "retention": "setup.retention:retention_app",
    "schema": "setup.schema:schema_app",
    "keys": "setup.keys:keys_app",
    "deploy": "setup.deploy:deploy_app",
}
# Former names of commands.
_ALIASES: Final = {"brake": "breaker"}


def _version(given: bool) -> None:
    if given:
        result(f"bridge {version('ghostlink-bridge')}")
        raise typer.Exit


app = typer.Typer(
    name="bridge",
    cls=loading(_PLACES, _ALIASES),
    help="Commit raw events from Kafka as rows in Postgres, exactly once in effect; an audit accounts for each event.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _group(
    _asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Make the root a group. Without a callback, typer runs an app that has loaded one command as that command."""
