"""`bridge db migrate|status|verifier|check|grants|snapshot`: migrates, checks and compares the database schema."""

import sys
from getpass import getpass
from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, result, run, say, write_json
from bridge.dev.stack.credentials import scram_verifier
from bridge.output.tables import Table, print_table
from schemas.config.service import Service
from schemas.errors import InvalidInput
from sinks.postgres.schema.check import check_database, migration_status
from sinks.postgres.schema.check import snapshot as print_snapshot
from sinks.postgres.schema.grants import grants as grant
from sinks.postgres.schema.migrate import migrate as migrate_now
from telemetry.terminal import json_result

db_app = typer.Typer(name="db", help="The schema of the database.", no_args_is_help=True)


@db_app.command()
def migrate(verbose: Verbose = False) -> None:
    """Bring the schema to the newest version and create the months; safe to run twice, also at the same time.

    It waits at most two minutes for a table that another session uses, three seconds at a time, and names that session.
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
    if json_output is not None:
        times = [{"name": name, "applied_at": moment.isoformat()} for name, moment in applied]
        write_json({"up_to_date": not pending, "applied": times, "pending": pending}, json_output)
    if json_output != "-":
        table = Table("migration", "state")
        for name, moment in applied:
            table.add_row(name, f"applied {moment:%Y-%m-%dT%H:%M:%SZ}")
        for name in pending:
            table.add_row(name, "pending")
        print_table(table)
    raise typer.Exit(1 if pending else 0)


@db_app.command()
def verifier() -> None:
    """Make of a password, a line of standard input, the SCRAM verifier that ALTER ROLE ... PASSWORD takes in its place."""
    given = getpass("password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not given or not given.isascii() or not given.isprintable():
        raise InvalidInput("give the password as a line of printable ASCII on standard input")
    result(scram_verifier(given))


@db_app.command()
def check(
    service: Annotated[
        Service,
        typer.Option(
            help="The service whose account BRIDGE_DATABASE_URL names: checks that it has the privileges that it needs, and no others."
        ),
    ] = Service.OWNER,
    verbose: Verbose = False,
) -> None:
    """Name each difference between the database and what the code needs; the exit code is 0 without any, else 1."""
    settings = command_settings(verbose=verbose)
    differences = run(check_database(settings.dsn, months_ahead=settings.partitions_ahead, service=service))
    for line in differences:
        result(line)
    if not differences:
        result("as needed")
    raise typer.Exit(1 if differences else 0)


@db_app.command()
def grants(
    role: Annotated[str, typer.Argument(metavar="ROLE", help="The account, which exists already.")],
    service: Annotated[
        Service, typer.Option(help="The service that connects with it; `reader` is for people who query.")
    ],
    apply: Annotated[bool, typer.Option("--apply", help="Run the statements, in one transaction.")] = False,
    verbose: Verbose = False,
) -> None:
    """Print what gives an account exactly the privileges of its service; run it as the schema's owner, again after each migration.

    For --service owner a superuser has to run it, once: it makes the account the owner of what is there.
    """
    settings = command_settings(verbose=verbose)
    for line in run(grant(settings.dsn, role, service, apply=apply, tell=say)):
        result(f"{line};")


@db_app.command()
def snapshot(verbose: Verbose = False) -> None:
    """Print the catalogue that `check` compares with.

    After a new migration: migrate a new database, then `bridge db snapshot > sinks/postgres/schema/schema_snapshot.json`.
    """
    settings = command_settings(verbose=verbose)
    json_result(run(print_snapshot(settings.dsn)))
