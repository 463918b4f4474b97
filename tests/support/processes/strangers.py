"""Runs of programs as another account of this machine, which only root can do."""

from pathlib import Path

from bridge.dev.stack.accounts import Account
from support.processes.programs import python


def command_as(uid: int, argv: list[str]) -> list[str]:
    """Make the words that run `argv` as the account, without root's groups and capabilities."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--", *argv]


def python_as(uid: int) -> list[str]:
    """Make the words before a Python command that run it as the account."""
    words = command_as(uid, [])[:-1]
    interpreter = Path(python("")[0])
    if not Account(uid=uid, gid=uid).reaches(interpreter):
        # The interpreter may be below root's home; this capability allows reading only.
        words += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return words
