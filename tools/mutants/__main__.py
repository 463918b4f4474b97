"""`python -m tools.mutants`: removes one mechanism after another from a copy of the product; its tests must fail.

Exit code: 0 if every mutant was killed, 1 if one survived, 2 for a wrong argument, 3 if a run proves nothing.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support.infrastructure.servers import ADMIN_VARIABLE, DATABASE_VARIABLE, KAFKA_VARIABLE, embedded

from bridge.dev.stack import StackAddresses
from tools.mutants.catalogue import MUTANTS
from tools.mutants.mutant import Mutant
from tools.mutants.workshop import Workshop

FAILED, PASSED = 1, 0
TESTS_SECONDS = 300.0


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # this is what a command line is for


def tests_end_with(
    directory: Path, addresses: StackAddresses, tests: tuple[str, ...], seconds: float
) -> tuple[int | None, str]:
    """Run these tests in the copy; return pytest's exit code, or None after `seconds`, and the end of its output."""
    words = ["-m", "pytest", "-x", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider", "--timeout=90"]
    environment = {
        KAFKA_VARIABLE: addresses.kafka,
        DATABASE_VARIABLE: addresses.database_url,
        ADMIN_VARIABLE: addresses.admin_database_url,
        "PYTHONDONTWRITEBYTECODE": "1",
        # Programs that the tests start search here first.
        "PYTHONPATH": str(directory),
    }
    try:
        done = subprocess.run(
            [sys.executable, *words, "--stack", "external", *tests],
            cwd=directory,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return None, f"the tests did not end within {seconds:.0f} s"
    lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
    return done.returncode, lines[-1] if lines else ""


def verdict(mutant: Mutant, workshop: Workshop, addresses: StackAddresses) -> tuple[int, str]:
    """Return 0 if the mutant was killed, 1 if it survived, 3 if nothing is proven, with the reason."""
    with workshop.without(mutant):
        code, said = tests_end_with(workshop.directory, addresses, mutant.tests, TESTS_SECONDS)
    if code == FAILED:
        return 0, said
    if code == PASSED:
        return 1, f"{', '.join(mutant.tests)} noticed nothing"
    return 3, f"its tests could not be run: {said}"


def chosen(only: str) -> list[Mutant]:
    known = {mutant.name: mutant for mutant in MUTANTS}
    names = only.split(",") if only else list(known)
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"error: no such mutant: {', '.join(unknown)}; there are: {', '.join(known)}")
    return [known[name] for name in names]


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="mutants", description="Takes mechanisms out; the tests have to notice.")
    parser.add_argument("--only", default="", help="names of mutants by commas")
    parser.add_argument("--list", action="store_true", help="print the mutants and end")
    given = parser.parse_args(words)
    mutants = chosen(given.only)
    if given.list:
        for mutant in mutants:
            say(f"{mutant.name}: without {mutant.without}")
        return 0
    worst = 0
    with tempfile.TemporaryDirectory(prefix="bridge-mutants-") as directory, embedded() as addresses:
        workshop = Workshop(Path(directory) / "copy")
        tests = tuple(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
        code, said = tests_end_with(workshop.directory, addresses, tests, TESTS_SECONDS * len(mutants))
        if code != PASSED:
            say(f"nothing is proven: the tests don't pass on the product itself: {said}")
            return 3
        say(f"the product itself: {said}")
        for mutant in mutants:
            began = time.monotonic()
            code, why = verdict(mutant, workshop, addresses)
            worst = max(worst, code)
            word = {0: "died", 1: "LIVES", 3: "INVALID"}[code]
            say(f"{word:8}{mutant.name}: {why} ({time.monotonic() - began:.0f} s)")
    say(f"{len(mutants)} mutants: " + {0: "every one died", 1: "see above", 3: "see above"}[worst])
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
