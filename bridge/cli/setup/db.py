"""`bridge db migrate|status|verifier|check|grants|snapshot`: migrates and checks the database schema."""

import sys
from getpass import getpass
from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, result, run, say, write_result
from bridge.cli.lazy import group
from bridge.dev.stack.credentials import scram_verifier
from bridge.output.tables import Table, print_table
from schemas.config.service import Service
from schemas.errors import InvalidInput
from sinks.postgres.schema.check import check_database, migration_status
from sinks.postgres.schema.check import snapshot as print_snapshot
from sinks.postgres.schema.grants import grants as grant
from sinks.postgres.schema.migrate import migrate as migrate_now
from telemetry.terminal import json_result

db_app = group("db", "Migrate, check and compare the database schema.")


@db_app.command()
def migrate(verbose: Verbose = False) -> None:
    """Migrate the schema to the newest version and create the monthly partitions.

    Repeated and concurrent runs are safe.

    While another session uses a table, the migration tries to lock the table for three seconds at a time. After two
    minutes the command fails and names that session.
    """
    settings = command_settings(verbose=verbose)
    applied = run(migrate_now(settings.dsn, months_ahead=settings.partitions_ahead, tell=say))
    for name in applied:
        result(f"applied: {name}")
    if not applied:
        result("up to date")


@db_app.command()
def status(json_output: JsonOutput = None, verbose: Verbose = False) -> None:
    """List applied and pending migrations; the exit code is 0 if none is pending, else 1."""
    settings = command_settings(verbose=verbose)
    applied, pending = run(migration_status(settings.dsn))
    times = [{"name": name, "applied_at": moment.isoformat()} for name, moment in applied]
    if write_result({"up_to_date": not pending, "applied": times, "pending": pending}, json_output):
        table = Table("migration", "state")
        for name, moment in applied:
            table.add_row(name, f"applied {moment:%Y-%m-%dT%H:%M:%SZ}")
        for name in pending:
            table.add_row(name, "pending")
        print_table(table)
    raise typer.Exit(1 if pending else 0)


@db_app.command()
def verifier() -> None:
    """Print the SCRAM verifier of a password, which ALTER ROLE ... PASSWORD accepts instead of the password.

    The password is a line of standard input.
    """
    given = getpass("password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not given or not given.isascii() or not given.isprintable():
        raise InvalidInput("the password is missing; give it as one line of printable ASCII on standard input")
    result(scram_verifier(given))


@db_app.command()
def check(
    service: Annotated[
        Service,
        typer.Option(
            help="The service whose account BRIDGE_DATABASE_URL contains. The account must have exactly the privileges that it needs."
        ),
    ] = Service.OWNER,
    verbose: Verbose = False,
) -> None:
    """Print each difference between the database and the schema that the code needs.

    The exit code is 0 without any, else 1.
    """
    settings = command_settings(verbose=verbose)
    differences = run(check_database(settings.dsn, months_ahead=settings.partitions_ahead, service=service))
    result(*differences or ["as needed"])
    raise typer.Exit(1 if differences else 0)


@db_app.command()
def grants(
    role: Annotated[str, typer.Argument(metavar="ROLE", help="An existing account.")],
    service: Annotated[
        Service, typer.Option(help="The service that connects with this account; `reader` is for people who query.")
    ],
    apply: Annotated[bool, typer.Option("--apply", help="Also run the statements, in one transaction.")] = False,
    verbose: Verbose = False,
) -> None:
    """Print the statements that give an account exactly the privileges of its service.

    Run them as the schema's owner, and again after each migration. For --service owner a superuser has to run them,
    once: they make the account the owner of the existing objects.
    """
    settings = command_settings(verbose=verbose)
    for line in run(grant(settings.dsn, role, service, apply=apply, tell=say)):
        result(f"{line};")


@db_app.command()
def snapshot(verbose: Verbose = False) -> None:
    """Print the catalogue with which `check` compares the database.

    After a new migration: migrate a new database, then `bridge db snapshot >
    sinks/postgres/schema/schema_snapshot.json`.
    """
    settings = command_settings(verbose=verbose)
    json_result(run(print_snapshot(settings.dsn)))
