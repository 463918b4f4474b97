"""The choice of pg_dump and pg_restore: those of BRIDGE_PG_BIN, or the first ones that are new enough."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from bridge.dev.stack.binaries import program_directories
from schemas.config.settings import Settings
from schemas.errors import PreconditionFailed
from sinks.postgres.backups.programs import Program, examined_program


def find_program(settings: Settings, name: str, at_least: int, needed_by: str) -> Program:
    """Return the program `name` of the major version `at_least` or newer.

    `needed_by` says in the error what needs that version. Raises PreconditionFailed.
    """
    refused = []
    for directory in _directories(settings):
        program = examined_program(directory / name)
        if program is None:
            continue
        if program.major >= at_least:
            return program
        refused.append(f"{program.path} is {program.version}")
    found = "; ".join(refused) or f"there is no {name} that runs" + (
        f" in BRIDGE_PG_BIN={settings.pg_bin}" if settings.pg_bin else ""
    )
    raise PreconditionFailed(
        f"{name} {at_least} or newer is needed, because {needed_by}: {found}; install Postgres' client programs "
        f"{at_least}, or set BRIDGE_PG_BIN to their directory"
    )


def _directories(settings: Settings) -> Iterator[Path]:
    if settings.pg_bin:
        yield Path(settings.pg_bin)
        return
    if (on_path := shutil.which("pg_dump")) is not None:
        yield Path(on_path).parent
    yield from program_directories()
