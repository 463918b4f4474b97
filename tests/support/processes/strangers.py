"""Runs programs as another account of this machine, which only root can."""

from pathlib import Path

from bridge.dev.stack.accounts import Account
from support.processes.programs import python


def command_as(uid: int, argv: list[str]) -> list[str]:
    """The words that run `argv` as the account, without root's groups and capabilities."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--", *argv]


def python_as(uid: int) -> list[str]:
    """What comes before the words of a Python program to run it as the account."""
    words = command_as(uid, [])[:-1]
    interpreter = Path(python("")[0])
    if not Account(uid=uid, gid=uid).reaches(interpreter):
        # The interpreter may be under root's home: reading is all that this adds.
        words += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return words
