"""Creates a Postgres cluster that requires passwords, and converts older clusters that don't."""

import re
import shutil
import subprocess
from pathlib import Path

from bridge.dev.stack.accounts import Account
from bridge.dev.stack.credentials import Credentials, scram_verifier
from bridge.dev.stack.databases import SUPERUSER
from bridge.dev.stack.private import write_private
from bridge.dev.stack.process import pick_decisive
from schemas.errors import PreconditionFailed

_METHOD = "scram-sha-256"
_INITDB_SECONDS = 120
# After a kill, the server first recovers the cluster.
_SINGLE_USER_SECONDS = 600
_FAILED = re.compile(r"\b(ERROR|FATAL|PANIC):")
_TRUSTED = re.compile(r"^(\s*(?:local|host\w*)\s[^#\n]*?\s)trust\b", re.MULTILINE)


def initialise(initdb: Path, data: Path, account: Account, credentials: Credentials) -> None:
    """Create a Postgres cluster in the directory `data`, whose superuser has the password of `credentials`.

    The directory appears under this name when the cluster is complete.
    """
    # After an interrupted creation the directory is incomplete, and initdb refuses to overwrite it.
    shutil.rmtree(data, ignore_errors=True)
    fresh = data.with_name("data.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    account.own(fresh)
    password = data.with_name("password.new")
    write_private(password, scram_verifier(credentials.admin) + "\n")
    account.own(password)
    argv = [str(initdb), "-D", str(fresh), "-U", SUPERUSER, "-A", _METHOD, "--pwfile", str(password)]
    try:
        done = account.run([*argv, "--encoding=UTF8", "--no-locale"], cwd=fresh, timeout=_INITDB_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PreconditionFailed(f"can't run {initdb}: {error}") from error
    finally:
        password.unlink()
    if done.returncode != 0:
        told = pick_decisive((done.stdout + done.stderr).splitlines())
        raise PreconditionFailed(f"can't create a Postgres cluster in {data}: {told}")
    fresh.rename(data)


def demand_passwords(postgres: Path, data: Path, account: Account, credentials: Credentials) -> None:
    """Set the superuser's password in a stopped cluster, then require a password for each connection.

    The password is set without a running server, because such a server would trust every client. Each step can be
    repeated, so the next start completes an interrupted conversion.
    """
    statement = f"ALTER ROLE {SUPERUSER} LOGIN PASSWORD '{scram_verifier(credentials.admin)}';\n"
    try:
        done = account.run(
            [str(postgres), "--single", "-D", str(data), "-c", "lc_messages=C", "postgres"],
            cwd=data,
            timeout=_SINGLE_USER_SECONDS,
            given=statement,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PreconditionFailed(f"can't run {postgres} on {data} to set a password: {error}") from error
    told = (done.stdout + done.stderr).splitlines()
    # The single-user mode continues after an error, and its exit code is 0 nevertheless.
    if done.returncode != 0 or any(_FAILED.search(line) for line in told):
        raise PreconditionFailed(f"can't set a password for the Postgres in {data}: {pick_decisive(told)}")
    rules = data / "pg_hba.conf"
    fresh = rules.with_name("pg_hba.conf.new")
    write_private(fresh, _TRUSTED.sub(rf"\1{_METHOD}", rules.read_text(encoding="utf-8")))
    account.own(fresh)
    fresh.replace(rules)
