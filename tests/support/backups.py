"""Backups of a test: the environment of the commands, and small databases to back up."""

import json
from pathlib import Path
from typing import Any

from bridge.dev.stack import StackAddresses
from schemas.config.settings import Settings
from support.events.settled import environment_of
from support.infrastructure.databases import with_database
from support.processes.command import bridge_text

KEY = "a key for backups of tests, and of some length"


def backup_environment(stack: StackAddresses, settings: Settings, store: Path, **more: str) -> dict[str, str]:
    """Make the environment of the backup commands; verifications use the superuser, who may create databases."""
    return environment_of(
        settings,
        BRIDGE_STORE_URL=f"file://{store}",
        BRIDGE_VERIFY_DATABASE_URL=with_database(stack.admin_database_url, settings.dsn.rsplit("/", 1)[1]),
        **more,
    )


async def made(environment: dict[str, str], *words: str) -> dict[str, Any]:
    """Run a command of backups, which has to succeed; return its JSON."""
    done = await bridge_text(*words, "--json-output", "-", settings=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


async def refused(environment: dict[str, str], *words: str) -> str:
    """Run a command of backups, which has to fail without a traceback; return what it says."""
    done = await bridge_text(*words, settings=environment)
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "Traceback" not in said
    return said


def stored(store: Path) -> set[str]:
    """Return the names of the files in the store, without the backups' ids."""
    return {path.name.partition("-2")[0] for path in store.rglob("*") if path.is_file()}
